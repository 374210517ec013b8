"""The parts of a run's page: state, results, curves, log, config, files, history."""

import json

import pandas as pd
import streamlit as st

from backend.contracts.runs import RunRead
from frontend.charts.curves import curve_points, curves
from frontend.components import backend, words

_STATE_HINTS = {
    "queued": "It waits for a worker. Runs are taken in order.",
    "stopping": "It writes a checkpoint and then stops.",
    "stopped": "**Resume** goes on from its newest checkpoint.",
}
_CURVES = ("loss", "contrastive_accuracy", "knn_top1", "images_per_second")


def state(run: RunRead) -> None:
    """State, phase, progress and time left; where it failed, the error and what to do."""
    doing = f", {words.PHASES[run.phase]}" if run.phase and run.state == "running" else ""
    attempt = f" · attempt {run.attempts}" if run.attempts > 1 else ""
    st.markdown(f"{words.STATES[run.state]}{doing}{attempt} {_STATE_HINTS.get(run.state, '')}")
    if run.state == "failed":
        st.error(f"**The run failed.** {run.error or 'Its log says why.'}", icon=":material/error:")
        st.caption(
            "**Resume** tries again from its newest checkpoint; **Change and launch** starts a new run with a config "
            "that you mend first. The log below ends with what happened."
        )
    left = f", {words.duration(run.eta_seconds)} left" if run.eta_seconds and run.state == "running" else ""
    took = words.elapsed(run)
    time = f", {words.duration(took)} so far" if took is not None and not words.has_ended(run) else ""
    if not words.has_ended(run) or run.progress < 1:
        st.progress(min(1.0, run.progress), text=f"{run.progress:.0%}{left}{time}")


def results(run: RunRead) -> None:
    """The accuracies beside those of the untrained net, and the speed."""
    summary = run.summary
    columns = st.columns(4)
    for column, name, label in (
        (columns[0], "linear_top1", "Linear accuracy"),
        (columns[1], "knn_top1", "kNN accuracy"),
    ):
        trained, untrained = summary.get(name), summary.get(f"untrained_{name}")
        beside = None
        if trained is not None and untrained is not None:
            beside = f"{100 * (trained - untrained):+.1f} points beside the untrained net's {untrained:.1%}"
        column.metric(label, words.percent(trained), beside, border=True)
    speed = summary.get("images_per_second")
    columns[2].metric("Images per second", f"{speed:,.0f}" if speed else "-", border=True)
    took = words.elapsed(run) if words.has_ended(run) else None
    columns[3].metric("Time", words.duration(took) or "-", border=True)


def live_curves(run: RunRead) -> None:
    """Loss, contrastive accuracy, kNN accuracy and throughput over the epochs."""
    series = {run.name: backend.client().metrics(run.id, max_points=400)}
    columns = st.columns(2)
    for place, metric in enumerate(_CURVES):
        points = curve_points(series, metric)
        with columns[place % 2]:
            st.altair_chart(curves(points, metric, [run.name]), key=f"run:curves:{metric}")


def log(run: RunRead) -> None:
    """The last lines of the log, newest first."""
    lines = backend.client().logs(run.id, limit=200)
    with st.expander("Log, newest line first", expanded=run.state in ("running", "failed")):
        if lines:
            text = "\n".join(
                f"{line.time:%H:%M:%S} {'' if line.level == 'info' else line.level.upper() + ' '}{line.message}"
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
            f"{artifact.name} ({words.size(artifact.size_bytes)})",
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
        {"time": move.time, "state": move.to_state, "by": move.actor, "because": move.reason, "attempt": move.attempt}
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
            pd.DataFrame([{"name": name, "value": str(value)} for name, value in sorted(run.summary.items())]),
            hide_index=True,
        )
