"""Comparisons: whether two runs differ by more than chance on the same test images."""

from pydantic import BaseModel, ConfigDict, Field


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ClassifierComparison(_Message):
    """One classifier (knn, linear, ...) on the two runs, image by image."""

    classifier: str
    images: int
    both_right: int
    only_first_right: int = Field(description="Images on which the first run alone is right (n10).")
    only_second_right: int = Field(description="Images on which the second run alone is right (n01).")
    p_value: float = Field(
        description="Exact two-sided McNemar test: how probable a difference as large is were both equally good."
    )


class Comparison(_Message):
    """Two runs on one test set, by every classifier that both have predictions of."""

    first: str
    second: str
    test_set: str
    classifiers: list[ClassifierComparison]
