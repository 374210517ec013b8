"""Every accuracy that a run's evaluations found, as a table with their names in words."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from frontend.components.text import cell

COLUMNS = {"h": "Pretrained, h", "z": "Pretrained, z", "untrained": "Not pretrained", "chance": "Chance"}
"""The columns of the table: name in words."""
_NAMES = {
    "knn": "kNN",
    "linear": "Linear (L-BFGS)",
    "linear_sgd": "Linear (SGD)",
    "supervised": "Supervised, all labels",
}
_ORDER = ("kNN", "Linear (L-BFGS)", "Linear (SGD)", "Fine-tuned", "Supervised", "Transfer", "Transformation")
_TASKS = {
    "color": "colour or grey",
    "rotation": "rotation",
    "corruption": "original or noise",
    "sobel": "original or Sobel",
}


def evaluation_rows(summary: Mapping[str, Any], chance: float | None = None) -> pd.DataFrame:
    """One row an evaluation, one column a net: columns name, h, z, untrained and chance, as shares of 1.

    ``summary``: a run's. ``chance``: the accuracy of always naming the most frequent class of the test images.
    """
    rows: dict[str, dict[str, Any]] = {}
    for key, value in summary.items():
        for name, column, known_chance in _place(key):
            row = rows.setdefault(name, {"name": cell(name), "chance": chance if known_chance else None})
            row[column] = value
    ordered = sorted(rows.values(), key=lambda row: _rank(row["name"]))
    return pd.DataFrame(ordered, columns=["name", *COLUMNS])


def _rank(name: str) -> int:
    """The usual evaluations first, whenever they were done."""
    return next((place for place, start in enumerate(_ORDER) if name.startswith(start)), len(_ORDER))


def _place(key: str) -> Iterator[tuple[str, str, bool]]:
    """(row, column, whether ``chance`` holds there) of a value of the summary; none where it is no accuracy."""
    if task := re.fullmatch(r"transformation_(.+)_(h|z|chance)", key):
        yield f"Transformation: {_TASKS.get(task[1], task[1])}", task[2], False
    elif found := re.fullmatch(r"(untrained_|z_)?(.+)_top(\d+)", key):
        prefix, classifier, top = found[1], found[2], found[3]
        name, of_other = _classifier(classifier)
        column = "z" if prefix == "z_" else "untrained" if prefix or of_other else "h"
        is_elsewhere = classifier.startswith("transfer_")
        yield (name if top == "1" else f"{name}, top {top}"), column, top == "1" and not is_elsewhere


def classifier_label(name: str) -> str:
    """A classifier of ``evaluation.json`` in words."""
    bare = name.removeprefix("z_")
    return _classifier(bare)[0] + (" on z" if bare != name else "")


def _classifier(name: str) -> tuple[str, bool]:
    """A classifier in words, and whether it stands on a net that was not pretrained."""
    if few := re.fullmatch(r"(semi_supervised|supervised)_([\d.]+)pct", name):
        return f"Fine-tuned on {few[2]}% of the labels", few[1] == "supervised"
    if transfer := re.fullmatch(r"transfer_(.+)_linear", name):
        return f"Transfer to {transfer[1]}, linear", False
    return _NAMES.get(name, name.replace("_", " ")), name == "supervised"


def geometry(summary: Mapping[str, Any]) -> str:
    """Alignment, uniformity and effective rank in a line; empty where they were not measured."""
    said = [
        f"{label} {summary[key]:.3g}"
        for key, label in (
            ("alignment", "alignment"),
            ("uniformity", "uniformity"),
            ("effective_rank", "effective rank"),
        )
        if isinstance(summary.get(key), int | float)
    ]
    dim = summary.get("feature_dim")
    of = f" of {dim}" if dim and "effective_rank" in summary else ""
    return f"Of h: {', '.join(said)}{of}" if said else ""
