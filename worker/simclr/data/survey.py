"""A look at all files before any is decoded: how many channels the pack gets, and what its 16-bit values mean."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from worker.simclr.data.decoders import Decoders, answers_to_files
from worker.simclr.data.parallel import in_batches
from worker.simclr.data.refusal import ImportRefusedError
from worker.simclr.data.sources import Source

Channels = Literal["auto", 1, 3]
_AHEAD = 256


@dataclass(frozen=True)
class Survey:
    """Channels of the pack, bits that 16-bit values fill, and what a person should know about the choice."""

    channels: int
    bits: int
    notes: tuple[str, ...]


def survey(
    source: Source,
    names: Sequence[str],
    channels: Channels,
    decoders: Decoders,
    *,
    on_progress: Callable[[float], None],
) -> Survey:
    """Look at the files in order until one decides: an 8-bit file with several channels. Broken ones are passed over.

    With 'auto' the pack has one channel where all images are greyscale, three where a picture is in colour, and the
    channels of the arrays where those have others. Raises ImportRefusedError where 1 or 3 is asked for and the images
    are arrays with others.
    """
    found, largest, is_decided = 1, 0, False
    looks = in_batches(
        lambda batch: answers_to_files(source, batch, decoders.look), names, threads=decoders.count + 1, ahead=_AHEAD
    )
    for done, look in enumerate(looks, 1):
        if done % _AHEAD == 0:
            on_progress(0.0)
        if isinstance(look, str):
            continue  # decoding it will say the same
        found, largest = max(found, look.channels), max(largest, look.largest or 0)
        is_decided = look.channels > 1 and look.largest is None
        if is_decided:
            break
    # Beside 8-bit colour, 16-bit images use their whole range too, wherever in the order they come.
    bits = 16 if is_decided else max(8, largest.bit_length())
    if channels != "auto" and found not in {1, 3}:
        raise ImportRefusedError(f"The images have {found} channels, not {channels}: leave the channels at 'auto'.")
    notes = {1: ["All images are greyscale: one channel."], 3: ["Some images are in colour: RGB."]}.get(found, [])
    if channels != "auto":
        notes = []
    if largest and not is_decided:
        notes.append(f"The 16-bit values fill {bits} bits: all are divided by {(2**bits - 1) / 255:.4g}.")
    return Survey(found if channels == "auto" else channels, bits, tuple(notes))
