"""New run: the config as a form, the views that the net will see, launch."""

from typing import Any

import streamlit as st

from backend.client import ApiError
from backend.contracts.config import ExperimentConfig
from backend.contracts.runs import RunCreate
from frontend.components import backend, links, words
from frontend.components.config_form import ConfigForm, in_words
from frontend.components.config_values import field_errors
from frontend.components.estimate import estimate
from frontend.components.text import plain
from frontend.components.views import views

_REFUSED = "new_run:refused"
_FILLED_FROM = "new_run:filled_from"
_PRESET = "new_run:preset"


def show() -> None:
    """The whole page."""
    st.title("New run")
    form = ConfigForm("new_run")
    _fill_from_run(form)
    draft = form.read()
    ready = [dataset.name for dataset in backend.client().datasets() if dataset.state == "ready"]
    errors = dict(draft.errors) | _refused(draft.config)
    left, right = st.columns([3, 2], gap="large")
    with left:
        name = st.text_input("Name", key="new_run:name", placeholder="made from the config", max_chars=200)
        _fill_from_preset(form)
        form.draw(ready, errors)
        _launch(name, draft.config, errors)
    with right:
        if draft.config is not None:
            estimate(draft.config)
            views(draft.config)


def _fill_from_preset(form: ConfigForm) -> None:
    """A box that puts a preset's config in."""
    presets = {preset.title: preset for preset in backend.client().presets() if preset.config}

    def fill() -> None:
        preset = presets.get(st.session_state[_PRESET] or "")
        form.prefill(preset.config if preset and preset.config else ExperimentConfig())

    chosen = st.selectbox(
        "Start from", list(presets), index=None, placeholder="the defaults", key=_PRESET, on_change=fill
    )
    if chosen in presets:
        st.caption(presets[chosen].description)


def _fill_from_run(form: ConfigForm) -> None:
    """Put in the config of the run that the address names, once."""
    run_id = st.query_params.get("from")
    if not run_id or st.session_state.get(_FILLED_FROM) == run_id:
        return
    run = backend.client().run(run_id)
    form.prefill(run.config)
    st.session_state[_FILLED_FROM] = run_id
    st.toast(f"Filled in from {plain(run.name)}.")


def _launch(name: str, config: ExperimentConfig | None, errors: dict[str, str]) -> None:
    st.divider()
    if config is not None and not errors:
        st.caption(
            f"{words.augmentation(config.augmentation)} · {words.count(config.training.epochs, 'epoch')} · "
            f"peak learning rate {config.peak_learning_rate:.4g}"
        )
    if errors:
        st.error(f"Mend this first:\n{in_words(errors)}")
    if st.button("Launch", type="primary", icon=":material/rocket_launch:", disabled=config is None) and config:
        request: dict[str, Any] = {"config": config} | ({"name": name.strip()} if name.strip() else {})
        try:
            run = backend.client().launch_run(RunCreate(**request))
        except ApiError as error:
            if error.status != 422:
                raise
            found = field_errors((one.field.split("."), one.message) for one in error.problem.errors)
            st.session_state[_REFUSED] = (config, found or {"config": error.problem.detail})
            st.rerun()
        st.session_state.pop(_FILLED_FROM, None)
        st.switch_page(links.RUN, query_params={"id": run.id})


def _refused(config: ExperimentConfig | None) -> dict[str, str]:
    """What the backend had against this very config."""
    refused, errors = st.session_state.get(_REFUSED, (None, {}))
    return errors if config is not None and config == refused else {}


if __name__ == "__main__":
    show()
