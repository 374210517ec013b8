"""Named augmentations that a study compares, and the axes of a study."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from backend.contracts.augmentation import AugmentationConfig, BlurOp, ColorOp, CropOp, FlipOp
from backend.contracts.config import ExperimentConfig
from backend.contracts.studies import Axis, AxisPoint

MAX_RUNS = 1000
"""More runs than this at once are a slip of the finger."""


def compositions(base: AugmentationConfig) -> Mapping[str, tuple[Any, ...]]:
    """Name to transformations; each with the parameters it has in ``base``, or the paper's."""
    own = {op.name: op for op in base.ops}
    crop, flip = own.get("crop", CropOp()), own.get("flip", FlipOp())
    color, blur = own.get("color", ColorOp()), own.get("blur", BlurOp())
    return {
        "none": (),
        "flip": (flip,),
        "crop": (crop, flip),
        "color": (color,),
        "blur": (blur,),
        "crop + color": (crop, flip, color),
        "crop + blur": (crop, flip, blur),
        "color + blur": (color, blur),
        "crop + color + blur": (crop, flip, color, blur),
    }


def axes(base: ExperimentConfig, names: Sequence[str], batch_sizes: Sequence[int]) -> list[Axis]:
    """The axes 'augmentation' and 'batch size' of a study; one that is empty is left out."""
    known = compositions(base.augmentation)
    found: list[Axis] = []
    if names:
        points = [
            AxisPoint(label=name, set={"augmentation.ops": [op.model_dump(mode="json") for op in known[name]]})
            for name in names
        ]
        found.append(Axis(name="augmentation", points=points))
    if batch_sizes:
        sizes = [AxisPoint(label=str(size), set={"training.batch_size": size}) for size in batch_sizes]
        found.append(Axis(name="batch size", points=sizes))
    return found


def whole_numbers(text: str) -> list[int]:
    """The numbers in ``64, 128 256``, each once. Raises ValueError with a message for a person."""
    found: list[int] = []
    for word in text.replace(",", " ").replace(";", " ").split():
        if not word.isdecimal() or len(word) > 10:
            raise ValueError(f"'{word}' is no whole number. Write them like this: 64, 128, 256.")
        found.append(int(word))
    return list(dict.fromkeys(found))


def number_of_runs(sizes: Iterable[int]) -> int:
    """The product of the axes' sizes; an empty axis counts once."""
    product = 1
    for size in sizes:
        product *= max(1, size)
    return product
