"""Reordering the queue: which single moves bring the ticked runs where a person wants them."""

from collections.abc import Collection, Sequence
from typing import Literal

Direction = Literal["first", "up", "down", "last"]
Move = tuple[str, str | None]
"""A run's id, and the id of the run before which it is to stand; None: at the end."""


def moves(order: Sequence[str], ticked: Collection[str], direction: Direction) -> list[Move]:
    """The moves, to be made one after the other; the ticked runs keep their order among themselves."""
    chosen = [one for one in order if one in ticked]
    others = [one for one in order if one not in ticked]
    if not chosen or not others:
        return []
    if direction == "first":
        return [(one, others[0]) for one in chosen]
    if direction == "last":
        return [(one, None) for one in chosen]
    return _one_up(list(order), chosen) if direction == "up" else _one_down(list(order), chosen)


def _one_up(order: list[str], chosen: Sequence[str]) -> list[Move]:
    made: list[Move] = []
    for one in chosen:
        place = order.index(one)
        if place and order[place - 1] not in chosen:
            made.append((one, order[place - 1]))
            order[place - 1 : place + 1] = [one, order[place - 1]]
    return made


def _one_down(order: list[str], chosen: Sequence[str]) -> list[Move]:
    made: list[Move] = []
    for one in reversed(chosen):
        place = order.index(one)
        if place + 1 < len(order) and order[place + 1] not in chosen:
            order[place : place + 2] = [order[place + 1], one]
            made.append((one, order[place + 2] if place + 2 < len(order) else None))
    return made
