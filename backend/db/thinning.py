"""Thinning series of rows in SQL."""

from sqlalchemy import ColumnElement, or_


def kept_evenly(index: ColumnElement[int], count: ColumnElement[int], most: int) -> ColumnElement[bool]:
    """Whether row ``index`` (from 0) of ``count`` is kept, so that at most ``most`` (2 or more) are, at even gaps.

    Of n rows those are kept where i (m-1) // (n-1) grows: m of them, the first and the last among them.
    """
    slots, last = most - 1, count - 1
    return or_(count <= most, index == 0, index * slots // last != (index - 1) * slots // last)
