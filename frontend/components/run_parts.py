"""The parts of a run's page: state, results, curves, log, config, files, history."""

import json
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from backend.contracts.runs import MetricSeries, RunRead
from frontend.charts.curves import TITLES, curve_points, curves
from frontend.components import backend, words
from frontend.components.text import cell, plain, plain_lines, visible

_STATE_HINTS = {
    "queued": "It waits for a worker. Runs are taken in order.",
    "stopping": "It writes a checkpoint and then stops.",
    "stopped": "**Resume** goes on from its newest checkpoint.",
}
_CURVES = ("loss", "contrastive_accuracy", "knn_top1", "images_per_second")


def state(run: RunRead) -> None:
    """State, phase, progress and time left; where it failed, the error and what to do."""
    doing = f" {words.PHASES[run.phase]}" if run.phase and run.state == "running" else ""
    attempt = f" · attempt {run.attempts}" if run.attempts > 1 else ""
    st.markdown(f"{words.badge(run.state)}{doing}{attempt} {_STATE_HINTS.get(run.state, '')}")
    if run.state == "failed":
        st.error(f"**The run failed.** {plain_lines(run.error or 'Its log says why.')}", icon=":material/error:")
        st.caption(
            "**Resume** tries again from its newest checkpoint; **Change and launch** starts a new run with a config "
            "that you mend first. The log below ends with what happened."
        )
    if run.summary.get("collapsed"):
        st.warning(f"**The representation has collapsed.** {_collapse(run)}", icon=":material/compress:")
    left = f", {words.duration(run.eta_seconds)} left" if run.eta_seconds and run.state == "running" else ""
    if not words.has_ended(run) or run.progress < 1:
        st.progress(min(1.0, run.progress), text=f"{run.progress:.0%}{left}")


def _collapse(run: RunRead) -> str:
    rank, dim = run.summary.get("effective_rank"), run.summary.get("feature_dim")
    spread = f" (effective rank {rank:.3g}{f' of {dim}' if dim else ''})" if isinstance(rank, int | float) else ""
    return (
        f"Different images get nearly the same features{spread}, so what stands below says little. A lower learning rate, "
        "a longer warm-up, stronger augmentation or another temperature usually helps."
    )


def results(run: RunRead, series: Sequence[MetricSeries]) -> None:
    """The accuracies beside those of the untrained net, the speed and the time; while it trains, the newest values."""
    newest = {one.name: measured[-1] for one in series if (measured := list(one.values))}
    columns = st.columns([3, 3, 2, 2])
    for column, name, label in (
        (columns[0], "linear_top1", "Linear accuracy"),
        (columns[1], "knn_top1", "kNN accuracy"),
    ):
        trained, untrained = run.summary.get(name, newest.get(name)), run.summary.get(f"untrained_{name}")
        beside = None
        if trained is not None and untrained is not None:
            beside = f"{100 * (trained - untrained):+.1f} points"
        column.metric(
            label,
            words.percent(trained),
            beside,
            border=True,
            height="stretch",
            delta_description=f"untrained: {untrained:.1%}" if beside else None,
        )
    speed = run.summary.get("images_per_second", newest.get("images_per_second"))
    columns[2].metric("Images per second", f"{speed:,.0f}" if speed else "-", border=True, height="stretch")
    columns[3].metric("Time", words.duration(words.elapsed(run)) or "-", border=True, height="stretch")


def live_curves(run: RunRead, series: Sequence[MetricSeries]) -> None:
    """Loss, contrastive accuracy, kNN accuracy and throughput over the epochs."""
    columns = st.columns(2)
    for place, metric in enumerate(_CURVES):
        points = curve_points({visible(run.name): series}, metric)
        with columns[place % 2]:
            if len(points):
                st.altair_chart(curves(points, metric, [visible(run.name)]), key=f"run:curves:{metric}")
            else:
                st.caption(f"{TITLES[metric]}: not measured yet.")


def log(run: RunRead) -> None:
    """The last lines of the log, newest first."""
    lines = backend.client().logs(run.id, limit=200)
    with st.expander("Log, newest line first", expanded=run.state in ("running", "failed")):
        if lines:
            text = "\n".join(
                f"{line.time:%H:%M:%S} {'' if line.level == 'info' else line.level.upper() + ' '}{visible(line.message)}"
                for line in reversed(lines)
            )
            st.code(text, language=None, height=260, wrap_lines=True)
        else:
            st.caption("Nothing yet.")


def config(run: RunRead) -> None:
    """The whole config, and the learning rate that follows from it."""
    st.caption(
        f"{words.augmentation(run.config.augmentation)} · peak learning rate {run.config.peak_learning_rate:.4g}"
    )
    st.code(json.dumps(run.config.model_dump(mode="json"), indent=2), language="json", height=420)


def files(run: RunRead) -> None:
    """The files that the run produced, each with a button."""
    client = backend.client()
    artifacts = client.artifacts(run.id)
    if not artifacts:
        st.caption("Encoder, config and report stand here once the run has succeeded.")
    for artifact in artifacts:
        st.download_button(
            f"{plain(artifact.name)} ({words.size(artifact.size_bytes)})",
            data=lambda name=artifact.name: client.artifact(run.id, name),
            file_name=f"{run.id}-{artifact.name}",
            icon=":material/download:",
            on_click="ignore",
            key=f"run:file:{artifact.name}",
            help=f"sha256 {artifact.sha256}",
        )


def history(run: RunRead) -> None:
    """Every move from state to state, and the rest of the summary."""
    moves = [
        {
            "time": move.time,
            "state": move.to_state,
            "by": cell(move.actor),
            "because": cell(move.reason),
            "attempt": move.attempt,
        }
        for move in backend.client().transitions(run.id)
    ]
    st.dataframe(
        pd.DataFrame(moves),
        hide_index=True,
        column_config={"time": st.column_config.DatetimeColumn("Time", format="YYYY-MM-DD HH:mm:ss")},
    )
    if run.summary:
        st.caption("Everything the run measured about itself")
        st.dataframe(
            pd.DataFrame(
                [{"name": cell(name), "value": cell(str(value))} for name, value in sorted(run.summary.items())]
            ),
            hide_index=True,
        )
