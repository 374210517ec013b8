"""The artifacts of evaluations as the page reads them: what is missing or of another shape is left out."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from frontend.components.text import visible


@dataclass(frozen=True)
class OfClassifier:
    """What is known of one classifier: ``confusion[true][predicted]`` counts test images; accuracy of each class."""

    confusion: list[list[int]] | None
    per_class: list[float | None] | None


def read_classifiers(evaluation: bytes) -> dict[str, OfClassifier]:
    """``evaluation.json`` by classifier: {"classifiers": {name: {"confusion_matrix": ..., "per_class_accuracy": ...}}}."""
    parts = _object(evaluation).get("classifiers", {})
    found = {
        name: OfClassifier(one.get("confusion_matrix"), one.get("per_class_accuracy")) for name, one in parts.items()
    }
    return {name: one for name, one in found.items() if one.confusion or one.per_class}


def read_classes(*files: bytes | None) -> list[str]:
    """The names of the classes, from the first of these files that holds them."""
    for content in files:
        if content and (classes := _object(content).get("classes")):
            return [visible(str(name)) for name in classes]
    return []


def named(classes: Sequence[str], number: int) -> list[str]:
    """So many names: those of the classes, and numbers where there is none; a name that stands there twice is numbered."""
    names = list(classes[:number]) + [str(place) for place in range(len(classes), number)]
    return [name if names.count(name) == 1 else f"{name} ({place})" for place, name in enumerate(names)]


def chance(classifiers: Mapping[str, OfClassifier]) -> float | None:
    """The accuracy of always naming the most frequent class of the test images."""
    for one in classifiers.values():
        if one.confusion:
            sizes = [sum(row) for row in one.confusion]
            return max(sizes) / max(1, sum(sizes))
    return None


@dataclass(frozen=True)
class ImageMap:
    """``projection.json``: the method, the images with x, y, label and neighbours, and the sheet of thumbnails."""

    method: str
    classes: list[str]
    images: list[dict[str, Any]]
    sheet: dict[str, Any] | None


def read_map(projection: bytes) -> ImageMap | None:
    """The map; None where it holds no image."""
    content = _object(projection)
    images: list[dict[str, Any]] = content.get("images", [])
    if not images:
        return None
    return ImageMap(str(content.get("method", "")), read_classes(projection), images, content.get("sheet"))


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
