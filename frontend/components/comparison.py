"""Whether two ticked runs differ by more than chance, in sentences."""

from collections.abc import Mapping

import streamlit as st

from backend.client import ApiError
from backend.contracts.comparisons import ClassifierComparison
from frontend.components import backend
from frontend.components.evaluation_results import classifier_label
from frontend.components.text import plain

_SHOWN = ("linear", "linear_sgd", "knn")
"""The classifiers that are told of, in this order, where both runs have them."""


def comparison(first: str, second: str, names: Mapping[str, str]) -> None:
    """Compare two runs by id and say which is better; where that cannot be said, why."""
    try:
        found = backend.client().compare_runs(first, second)
    except ApiError as error:
        if error.status != 409:
            raise
        st.caption(f"Not compared image by image: {plain(error.problem.detail)}")
        return
    by_name = {one.classifier: one for one in found.classifiers}
    shown = [by_name[name] for name in _SHOWN if name in by_name] or found.classifiers[:1]
    st.markdown("\n".join(f"- {compared(one, names[first], names[second])}" for one in shown))


def compared(one: ClassifierComparison, first: str, second: str) -> str:
    """Such as: Linear: **A** is better on 212 images, **B** on 148 of 10,000: p = 0.0009 (exact McNemar)."""
    counts = f"**{plain(first)}** is better on {one.only_first_right:,} images, **{plain(second)}** on {one.only_second_right:,}"
    return f"{plain(classifier_label(one.classifier))}: {counts} of {one.images:,}: {_p(one.p_value)} (exact McNemar)"


def _p(value: float) -> str:
    return "p < 0.0001" if value < 0.0001 else f"p = {value:.2g}"
