"""A dialog that asks for more evaluation of a finished run, with the same form pieces as New run."""

import streamlit as st

from backend.client import ApiError
from backend.contracts.runs import RunRead
from frontend.components import backend
from frontend.components.config_fields import config_sections
from frontend.components.config_form import in_words
from frontend.components.config_values import asked_evaluation, field_errors, flatten
from frontend.components.fields import draw_section
from frontend.components.kept_values import KeptValues

_DURING_PRETRAINING = ("evaluation.knn_every_epochs",)


@st.dialog("Evaluate more", width="large")
def evaluate_more(run: RunRead) -> None:
    """Choose what to measure; a click queues the run again."""
    st.caption("Nothing is trained or measured again; new results join the run's.")
    kept = KeptValues(f"evaluate:{run.id}", flatten(run.config))
    section = next(one for one in config_sections() if one.path == "evaluation")
    request, errors = asked_evaluation(kept.read(), run.config)
    errors = errors | _refused(run.id, request)
    others = [
        one.name for one in backend.client().datasets() if one.state == "ready" and one.name != run.config.dataset.name
    ]
    draw_section(section, kept, errors, others, _DURING_PRETRAINING)
    if errors:
        st.error(f"Mend this first:\n{in_words(errors)}")
    clicked = st.button("Evaluate", type="primary", icon=":material/query_stats:", disabled=request is None)
    if clicked and request is not None:
        try:
            backend.client().evaluate_run(run.id, request)
        except ApiError as error:
            found = field_errors([(one.field.split("."), one.message) for one in error.problem.errors])
            st.session_state[f"evaluate:{run.id}:refused"] = (request, found or {"evaluation": error.problem.detail})
            st.rerun(scope="fragment")
        st.rerun()


def _refused(run_id: str, request: object) -> dict[str, str]:
    """What the backend had against this very request."""
    refused, errors = st.session_state.get(f"evaluate:{run_id}:refused", (None, {}))
    return errors if request is not None and request == refused else {}
