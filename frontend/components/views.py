"""The two augmented views of real images, as the net will see them."""

from collections.abc import Sequence
from html import escape

import streamlit as st

from backend.client import ApiError, BackendUnreachableError
from backend.contracts.config import ExperimentConfig
from backend.contracts.previews import ViewsPreview, ViewsRequest, ViewTriple
from frontend.components import backend
from frontend.components.text import plain, visible

_IMAGES = 6
_STEP = "views:step"
_DRAWN = "views:drawn"


def views(config: ExperimentConfig) -> None:
    """Draw images beside their two views; a button steps on. The page is there first, the views follow."""
    st.subheader("What the net sees", help="The very views of this step of the run, drawn by the worker.")
    if not any(worker.alive for worker in backend.client().workers()):
        st.info("The preview needs a worker, and none is running.")
        return
    step = int(st.session_state.get(_STEP, 0))
    request = ViewsRequest(config=config, images=_IMAGES, step=step)
    asked, preview = st.session_state.get(_DRAWN, (None, None))
    if preview is None or asked != request:
        _draw_soon(request)
    elif preview.error:
        st.warning(f"No preview: {plain(preview.error)}")
    else:
        st.html(views_html(preview.items))
        if st.button("Another step", icon=":material/casino:", help="The views that a later step will see."):
            st.session_state[_STEP] = step + 1
            st.rerun()


def _draw_soon(request: ViewsRequest) -> None:
    """Ask for the views once the page stands, again where nobody answers, and show the page with them."""
    page_stands = False

    @st.fragment(run_every=0.5)
    def ask() -> None:
        nonlocal page_stands
        if not page_stands:
            page_stands = True
            st.caption("Drawing the views...")
            return
        try:
            preview = backend.client().preview_views(request)
        except ApiError as error:
            if error.status >= 500:
                st.warning(f"No preview yet: {plain(error.problem.detail)} Trying again.")
                return
            preview = ViewsPreview(items=[], error=error.problem.detail)
        except BackendUnreachableError:
            st.caption("The backend does not answer. Trying again.")
            return
        st.session_state[_DRAWN] = (request, preview)
        st.rerun()

    ask()


def views_html(items: Sequence[ViewTriple]) -> str:
    """A table: class, image, first view, second view. Pixels stay sharp."""
    style = "width:100%;max-width:96px;image-rendering:pixelated;border-radius:4px;display:block"
    rows = "".join(
        f"<tr><td>{escape(visible(item.label))}</td>"
        + "".join(
            f'<td><img style="{style}" alt="{alt} of {escape(visible(item.label), quote=True)}" '
            f'src="data:image/png;base64,{escape(png, quote=True)}"></td>'
            for alt, png in (("image", item.image_png), ("view 1", item.view1_png), ("view 2", item.view2_png))
        )
        + "</tr>"
        for item in items
    )
    head = "<tr><th>class</th><th>image</th><th>view 1</th><th>view 2</th></tr>"
    return f'<table style="width:100%;text-align:left;font-size:0.85rem">{head}{rows}</table>'
