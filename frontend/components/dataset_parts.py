"""What the page says of a dataset: its facts in a line, its classes in a table."""

import pandas as pd

from backend.contracts.datasets import DatasetStats
from frontend.components import words
from frontend.components.text import cell


def facts(stats: DatasetStats) -> str:
    """Such as ``5,000 training and 8,000 test images · 10 classes · 100,000 without labels · 96 by 96 colour · 2.3 GB``."""
    unlabelled = (
        words.count(stats.unlabelled_images, "image") if not stats.train_images else f"{stats.unlabelled_images:,}"
    )
    found = [
        f"{stats.train_images:,} training and {stats.test_images:,} test images" if stats.train_images else "",
        words.count(len(stats.classes), "class", "classes") if stats.classes else "",
        f"{unlabelled} without labels" if stats.unlabelled_images else "",
        f"{stats.image_size} by {stats.image_size} {_kind(stats.channels)}",
        words.size(stats.size_bytes) if stats.size_bytes else "",
    ]
    return " · ".join(fact for fact in found if fact)


def class_table(stats: DatasetStats) -> pd.DataFrame:
    """A row for each class with its images in each split; names only where an earlier version did not count."""
    table = pd.DataFrame({"class": [cell(name) for name in stats.classes]})
    if stats.train_counts:
        table["training images"], table["test images"] = stats.train_counts, stats.test_counts
    return table


def broken_table(stats: DatasetStats) -> pd.DataFrame:
    """A row for each file that could not be read, with the reason."""
    return pd.DataFrame([{"file": cell(one.file), "reason": cell(one.reason)} for one in stats.broken])


def channel_facts(stats: DatasetStats) -> str:
    """Mean and deviation of each channel, of values from 0 to 1; empty where they were not measured."""
    if not stats.mean:
        return ""
    spread = ", ".join(f"{mean:.3f} ± {std:.3f}" for mean, std in zip(stats.mean, stats.std, strict=True))
    return f"{'Channel' if len(stats.mean) == 1 else 'Channels'}, mean ± deviation of values from 0 to 1: {spread}"


def _kind(channels: int) -> str:
    return {1: "grey", 3: "colour"}.get(channels, f"with {channels} channels")
