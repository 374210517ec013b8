"""Studies: the list, and one study with its two plots filling in."""

import streamlit as st

from backend.contracts.studies import StudyRead, StudyResults
from frontend.charts.accuracy import METRICS, against_augmentation, against_batch_size
from frontend.components import backend, links, words
from frontend.components.runs_table import column_config, run_rows
from frontend.components.story import is_finished, tell
from frontend.components.text import cell, plain, plain_lines, visible


def show() -> None:
    """The list, or the study that the address names."""
    study_id = st.query_params.get("id")
    if study_id:
        _study(study_id)
    else:
        _list()


def _list() -> None:
    title, button = st.columns([5, 1], vertical_alignment="bottom")
    title.title("Studies")
    with button:
        st.page_link(links.NEW_STUDY, label="New study", icon=":material/library_add:")
    backend.live(_list_rows, seconds=3)


def _list_rows() -> None:
    studies = backend.client().studies()
    if not studies:
        st.info("There is no study yet. A study runs one config with several augmentations, batch sizes and seeds.")
    for study in studies:
        with st.container(border=True):
            name, done = st.columns([2, 3], vertical_alignment="center")
            with name:
                st.page_link(
                    links.STUDIES, label=plain(study.name), icon=":material/grid_view:", query_params={"id": study.id}
                )
                st.caption(f"{plain(study.base.dataset.name)} · {_varied(study)} · {study.created_at:%Y-%m-%d %H:%M}")
            with done:
                _progress(study)


def _study(study_id: str) -> None:
    results = backend.client().study_results(study_id)
    finished = is_finished(results)
    title, stop = st.columns([5, 1], vertical_alignment="bottom")
    title.title(plain(results.study.name))
    clicked = stop.button("Stop all", icon=":material/stop:", disabled=finished, width="stretch")
    if clicked and backend.tried(backend.client().stop_study, study_id):
        st.rerun()
    st.caption(f"{plain(results.study.base.dataset.name)} · {_varied(results.study)}")
    if results.study.notes:
        st.markdown(plain_lines(results.study.notes))
    metric = st.segmented_control(
        "Accuracy of", list(METRICS), default="linear_top1", format_func=METRICS.__getitem__, key="study:metric"
    )
    backend.live(
        lambda: _live(study_id, metric or "linear_top1", was_finished=finished), seconds=3, while_=not finished
    )


def _live(study_id: str, metric: str, *, was_finished: bool) -> None:
    """What fills in while the runs finish."""
    results = backend.client().study_results(study_id)
    if is_finished(results) != was_finished:
        st.rerun()
    _progress(results.study, results)
    if was_finished:
        first, *rest = tell(results, metric)
        box = st.success if rest else st.info
        box("\n".join([first, "", *(f"- {sentence}" for sentence in rest)]), icon=":material/lightbulb:")
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Accuracy against augmentation")
        st.altair_chart(against_augmentation(results, metric), key="study:augmentation")
    with right:
        st.subheader("Accuracy against batch size")
        st.altair_chart(against_batch_size(results, metric), key="study:batch")
    st.caption(
        "Dot: one run. Diamond: mean over the seeds. Bar: lowest to highest. Dashed: the same net untrained. "
        "Cross: a run that failed or was stopped without a result. All on test images that no training saw."
    )
    _table(results)


def _table(results: StudyResults) -> None:
    st.subheader("Runs")
    runs = [result.run for result in results.results]
    rows = run_rows(runs)
    axes = [axis.name for axis in results.study.axes]
    for place, axis in enumerate(axes):
        rows.insert(place + 1, f"axis {axis}", [cell(result.cell[axis]) for result in results.results])
    rows["untrained"] = [
        100 * value if (value := run.summary.get("untrained_linear_top1")) is not None else None for run in runs
    ]
    rows["seed"] = [result.seed for result in results.results]
    columns = column_config() | {
        f"axis {axis}": st.column_config.TextColumn(visible(axis.capitalize())) for axis in axes
    }
    columns["untrained"] = st.column_config.NumberColumn(
        "Untrained", format="%.1f%%", width="small", help="Linear accuracy of the same net before training."
    )
    event = st.dataframe(
        rows,
        hide_index=True,
        column_config=columns,
        column_order=[
            *(f"axis {axis}" for axis in axes),
            "seed",
            "state",
            "progress",
            "eta",
            "linear",
            "untrained",
            "knn",
        ],
        on_select="rerun",
        selection_mode="single-cell",
        key="study:runs",
        placeholder="",
    )
    st.caption("Click a run's state or result to open it.")
    for row, column in event.selection.cells:
        if not column.startswith("axis "):  # a table that gets the focus selects its first cell by itself
            st.switch_page(links.RUN, query_params={"id": runs[row].id})


def _progress(study: StudyRead, results: StudyResults | None = None) -> None:
    """n of m done, and the rest by state; with the results, runs that are half done count half."""
    total = sum(study.states.values()) or 1
    done = study.states.get("succeeded", 0)
    share = sum(result.run.progress for result in results.results) / total if results else done / total
    others = [f"{number} {state}" for state, number in study.states.items() if number and state != "succeeded"]
    st.progress(min(1.0, share), text=", ".join([f"{done} of {words.count(total, 'run')} done", *others]))


def _varied(study: StudyRead) -> str:
    axes = {axis.name: len(axis.points) for axis in study.axes}
    return " by ".join(
        [*(words.count(size, plain(name)) for name, size in axes.items()), words.count(len(study.seeds), "seed")]
    )


if __name__ == "__main__":
    show()
