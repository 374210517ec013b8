"""What an import made and found."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.simclr.data.pack import PackWriter


@dataclass(frozen=True)
class ImportedPack:
    """A finished pack. ``train_counts`` and ``test_counts`` are images a class, in the order of ``classes``.

    ``mean`` and ``std`` are those of each channel of values in 0..1, over the training images (over the unlabelled
    ones where there are no others). ``broken`` lists (file, reason), at most the first 1000 of ``broken_total``.
    """

    sha256: str
    directory: Path
    classes: tuple[str, ...]
    train_counts: tuple[int, ...]
    test_counts: tuple[int, ...]
    unlabelled_images: int
    image_size: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    size_bytes: int
    notes: tuple[str, ...]
    broken: tuple[tuple[str, str], ...]
    broken_total: int

    @property
    def train_images(self) -> int:
        """Training images."""
        return sum(self.train_counts)

    @property
    def test_images(self) -> int:
        """Test images."""
        return sum(self.test_counts)


def finished(
    writer: PackWriter, *, notes: Sequence[str] = (), broken: Sequence[tuple[str, str]] = (), broken_total: int = 0
) -> ImportedPack:
    """Finish the pack and say what is in it."""
    sha256, directory = writer.finish()
    moments = writer.moments["train" if writer.counts["train"] else "unlabelled"]
    counts = {split: Counter(labels) for split, labels in writer.labels.items()}
    numbers = range(len(writer.classes))
    return ImportedPack(
        sha256=sha256,
        directory=directory,
        classes=writer.classes,
        train_counts=tuple(counts["train"][number] for number in numbers),
        test_counts=tuple(counts["test"][number] for number in numbers),
        unlabelled_images=writer.counts["unlabelled"],
        image_size=writer.image_size,
        channels=writer.channels,
        mean=moments.mean,
        std=moments.std,
        size_bytes=sum(path.stat().st_size for path in directory.iterdir()),
        notes=tuple(notes),
        broken=tuple(broken),
        broken_total=broken_total,
    )
