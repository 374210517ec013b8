"""The two augmented views of real images, as the net will see them."""

from collections.abc import Sequence
from html import escape

import streamlit as st

from backend.client import ApiError
from backend.contracts.config import ExperimentConfig
from backend.contracts.previews import ViewsPreview, ViewsRequest, ViewTriple
from frontend.components import backend

_IMAGES = 6


def views(config: ExperimentConfig) -> None:
    """Draw images beside their two views; a button steps on."""
    st.subheader("What the net sees", help="The very views of this step of the run, drawn by the worker.")
    step = int(st.session_state.get("views:step", 0))
    if not any(worker.alive for worker in backend.client().workers()):
        st.info("The preview needs a worker, and none is running.")
        return
    request = ViewsRequest(config=config, images=_IMAGES, step=step)
    try:
        with st.spinner("Drawing the views…", show_time=False):
            preview = _drawn(request.model_dump_json())
    except ApiError as error:
        st.warning(f"No preview: {error.problem.detail}")
        return
    if preview.error:
        st.warning(f"No preview: {preview.error}")
        return
    st.html(views_html(preview.items))
    if st.button("Another step", icon=":material/casino:", help="The views that a later step will see."):
        st.session_state["views:step"] = step + 1
        st.rerun()


def views_html(items: Sequence[ViewTriple]) -> str:
    """A table: class, image, first view, second view. Pixels stay sharp."""
    style = "width:100%;max-width:96px;image-rendering:pixelated;border-radius:4px;display:block"
    rows = "".join(
        f"<tr><td>{escape(item.label)}</td>"
        + "".join(
            f'<td><img style="{style}" alt="{alt} of {escape(item.label, quote=True)}" '
            f'src="data:image/png;base64,{escape(png, quote=True)}"></td>'
            for alt, png in (("image", item.image_png), ("view 1", item.view1_png), ("view 2", item.view2_png))
        )
        + "</tr>"
        for item in items
    )
    head = "<tr><th>class</th><th>image</th><th>view 1</th><th>view 2</th></tr>"
    return f'<table style="width:100%;text-align:left;font-size:0.85rem">{head}{rows}</table>'


@st.cache_data(max_entries=64, show_spinner=False)
def _drawn(request_json: str) -> ViewsPreview:
    """The preview of one request, kept: turning back to an earlier choice costs nothing."""
    return backend.client().preview_views(ViewsRequest.model_validate_json(request_json))
