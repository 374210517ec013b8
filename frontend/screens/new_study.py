"""New study: a base config, and what varies over it."""

import streamlit as st

from backend.client import ApiError
from backend.contracts.config import ExperimentConfig
from backend.contracts.studies import StudyCreate
from frontend.components import backend, links, words
from frontend.components.compositions import MAX_RUNS, axes, compositions, number_of_runs, whole_numbers
from frontend.components.config_fields import OPS
from frontend.components.config_form import ConfigForm, in_words
from frontend.components.config_values import field_errors
from frontend.components.text import plain, visible

_DECIDED_BY_THE_STUDY = (OPS, "training.batch_size", "training.seed")
_FILLED_FROM = "new_study:filled_from"


def show() -> None:
    """The whole page."""
    st.title("New study")
    form = ConfigForm("new_study")
    _start_from(form)
    draft = form.read()
    ready = [dataset.name for dataset in backend.client().datasets() if dataset.state == "ready"]
    varied, base = st.columns([2, 3], gap="large")
    with base:
        st.subheader("What stays the same")
        form.draw(ready, draft.errors, leave_out=_DECIDED_BY_THE_STUDY)
    with varied:
        _varied(draft.config or ExperimentConfig(), blocked=dict(draft.errors), base=draft.config)


def _start_from(form: ConfigForm) -> None:
    runs = {run.id: visible(run.name) for run in backend.client().runs(limit=50).items}
    chosen = st.selectbox(
        "Start from the config of", [None, *runs], format_func=lambda one: runs[one] if one else "the defaults"
    )
    if chosen != st.session_state.get(_FILLED_FROM):
        form.prefill(backend.client().run(chosen).config if chosen else ExperimentConfig())
        st.session_state[_FILLED_FROM] = chosen


def _varied(shown: ExperimentConfig, *, blocked: dict[str, str], base: ExperimentConfig | None) -> None:
    st.subheader("What varies")
    name = st.text_input("Name", value="My study", max_chars=200, key="new_study:name")
    names = st.multiselect(
        "Augmentations",
        list(compositions(shown.augmentation)),
        default=["crop", "color", "crop + color"],
        key="new_study:augmentations",
        help="'crop' includes the flip, as in the paper.",
    )
    sizes = _numbers("Batch sizes", "64, 256", "new_study:batch_sizes")
    seeds = _numbers("Seeds", "0", "new_study:seeds", help_="With several seeds the plots show the spread.")
    runs = number_of_runs([len(names), len(sizes or []), len(seeds or [])])
    st.caption(f"**{words.count(runs, 'run')}**, one for every combination.")
    if blocked:
        st.error(f"Mend this first:\n{in_words(blocked)}")
    missing = _what_is_missing(name, names, sizes, seeds, runs)
    if missing:
        st.caption(missing)
    can_launch = base is not None and not missing
    if st.button("Launch the study", type="primary", icon=":material/rocket_launch:", disabled=not can_launch) and base:
        _launch(StudyCreate(name=name.strip(), base=base, axes=axes(base, names, sizes or []), seeds=seeds or [0]))


def _what_is_missing(
    name: str, names: list[str], sizes: list[int] | None, seeds: list[int] | None, runs: int
) -> str | None:
    if not name.strip():
        return "Give it a name."
    if sizes is None or seeds is None:
        return "Mend the numbers above."
    if not seeds:
        return "Give at least one seed."
    if not names and not sizes:
        return "Choose at least one augmentation or one batch size."
    if runs > MAX_RUNS:
        return f"That is {runs:,} runs; at most {MAX_RUNS:,} fit in a study."
    return None


def _numbers(label: str, value: str, key: str, help_: str | None = None) -> list[int] | None:
    """A field for whole numbers; None, with the reason shown, where it holds something else."""
    text = st.text_input(label, value=value, key=key, help=help_, placeholder="such as 64, 128, 256")
    try:
        return whole_numbers(text)
    except ValueError as error:
        st.markdown(f":red[:material/error: {plain(str(error))}]")
        return None


def _launch(request: StudyCreate) -> None:
    try:
        study = backend.client().launch_study(request)
    except ApiError as error:
        if error.status != 422:
            raise
        found = field_errors((one.field.split("."), one.message) for one in error.problem.errors)
        st.error(in_words(found) or plain(error.problem.detail))
        return
    st.switch_page(links.STUDIES, query_params={"id": study.id})


if __name__ == "__main__":
    show()
