"""Figure: how long a run was in each state."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import altair as alt
import pandas as pd

from backend.contracts.runs import ENDED, RunState, Transition
from frontend.charts import palette
from frontend.components.text import visible

COLOURS: Mapping[RunState, str] = {
    "queued": palette.BASELINE,
    "running": "#0072b2",
    "stopping": "#e69f00",
    "stopped": "#cc79a7",
    "failed": "#d55e00",
    "succeeded": "#009e73",
}
"""Of the palette, those that stand out on white and on black."""


def stays(moves: Sequence[Transition], now: datetime) -> pd.DataFrame:
    """A row for each move, oldest first: state, begin, end (of the last one of a run that goes on: ``now``; of one that has
    ended: its begin), seconds, actor, reason, attempt.
    """
    ends = [*(move.time for move in moves[1:]), moves[-1].time if moves and moves[-1].to_state in ENDED else now]
    rows = [
        {
            "state": move.to_state,
            "begin": move.time,
            "end": end,
            "seconds": (end - move.time).total_seconds(),
            "actor": visible(move.actor),
            "reason": visible(move.reason),
            "attempt": move.attempt,
        }
        for move, end in zip(moves, ends, strict=bool(moves))
    ]
    return pd.DataFrame(rows, columns=["state", "begin", "end", "seconds", "actor", "reason", "attempt"])


def timeline(points: pd.DataFrame, *, height: int = 110) -> alt.Chart:
    """One band over time from ``stays``, coloured by state."""
    shown = {state: colour for state, colour in COLOURS.items() if (points["state"] == state).any()}
    colours = alt.Scale(domain=list(shown), range=list(shown.values()))
    return (
        alt.Chart(points, height=height)
        .mark_bar(height=22)
        .encode(
            x=alt.X("begin:T", title=None, axis=alt.Axis(grid=False, tickCount=6)),
            x2="end:T",
            color=alt.Color("state:N", title=None, scale=colours, legend=alt.Legend(orient="top")),
            tooltip=[
                alt.Tooltip("state:N", title="State"),
                alt.Tooltip("begin:T", title="From", format="%Y-%m-%d %H:%M:%S"),
                alt.Tooltip("end:T", title="To", format="%Y-%m-%d %H:%M:%S"),
                alt.Tooltip("actor:N", title="By"),
                alt.Tooltip("reason:N", title="Because"),
                alt.Tooltip("attempt:Q", title="Attempt"),
            ],
        )
    )
