"""The grid of a study: one config for every combination of axis points and every seed."""

import copy
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from backend.contracts.config import ExperimentConfig
from backend.contracts.studies import AxisPoint, StudyCreate
from backend.services.errors import InvalidError

MAX_RUNS = 1000


@dataclass(frozen=True)
class GridPoint:
    """One run of a study: its place on each axis, its seed, its config."""

    cell: dict[str, str]
    seed: int
    config: ExperimentConfig
    points: tuple[tuple[int, int], ...]
    """(axis, point) indices, to name the field of the request that an error comes from."""


def expand(request: StudyCreate) -> list[GridPoint]:
    """All runs, the last axis varying fastest, and the seeds within a cell.

    Raises InvalidError, naming the field of the request, where a combination is no valid config, labels repeat, or
    there are too many runs.
    """
    _check_labels(request)
    count = len(request.seeds)
    for axis in request.axes:
        count *= len(axis.points)
    if count > MAX_RUNS:
        raise InvalidError.field("axes", f"these are {count} runs, and {MAX_RUNS} are the most in one study")
    return list(_grid(request))


def field_of(request: StudyCreate, point: GridPoint, config_field: str) -> str:
    """The field of the request that a field of a run's config comes from, by dotted path."""
    for axis, place in point.points:
        for path in request.axes[axis].points[place].set:
            if config_field == path or config_field.startswith(f"{path}."):
                return f"axes.{axis}.points.{place}.set.{config_field}"
    return f"base.{config_field}"


def _grid(request: StudyCreate) -> Iterator[GridPoint]:
    base = request.base.model_dump(mode="json")
    axes = [list(enumerate(axis.points)) for axis in request.axes]
    for combination in itertools.product(*axes):
        cell = {axis.name: point.label for axis, (_, point) in zip(request.axes, combination, strict=True)}
        places = tuple((axis, place) for axis, (place, _) in enumerate(combination))
        for number, seed in enumerate(request.seeds):
            values = copy.deepcopy(base)
            for axis, (place, point) in enumerate(combination):
                _set_all(values, point, f"axes.{axis}.points.{place}.set")
            values["training"]["seed"] = seed
            yield GridPoint(cell, seed, _validated(request, values, places, f"seeds.{number}"), places)


def _set_all(values: dict[str, Any], point: AxisPoint, field: str) -> None:
    for path, value in point.set.items():
        *parents, last = path.split(".")
        target: Any = values
        for name in parents:
            target = target.get(name) if isinstance(target, dict) else None
        if not isinstance(target, dict) or last not in target:
            raise InvalidError.field(f"{field}.{path}", "there is no such field in a config")
        if path == "training.seed":
            raise InvalidError.field(f"{field}.{path}", "give the seeds under 'seeds'")
        target[last] = value


def _validated(
    request: StudyCreate, values: dict[str, Any], places: tuple[tuple[int, int], ...], seed_field: str
) -> ExperimentConfig:
    try:
        return ExperimentConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        if path == "training.seed":
            raise InvalidError.field(seed_field, message) from error
        if not path:  # the parts do not fit together: name the combination
            labels = ", ".join(request.axes[axis].points[place].label for axis, place in places)
            raise InvalidError.field("axes", f"{labels}: {message}") from error
        fake = GridPoint({}, 0, request.base, places)
        raise InvalidError.field(field_of(request, fake, path), message) from error


def _check_labels(request: StudyCreate) -> None:
    names = [axis.name for axis in request.axes]
    if len(set(names)) < len(names):
        raise InvalidError.field("axes", "two axes have the same name")
    for number, axis in enumerate(request.axes):
        labels = [point.label for point in axis.points]
        if len(set(labels)) < len(labels):
            raise InvalidError.field(f"axes.{number}.points", "two points have the same label")
    if len(set(request.seeds)) < len(request.seeds):
        raise InvalidError.field("seeds", "a seed stands there twice")
