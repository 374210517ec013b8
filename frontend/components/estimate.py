"""What a config will be, before it is launched: steps, sizes, time, and what is probably not meant."""

from html import escape

import streamlit as st

from backend.contracts.config import ExperimentConfig
from backend.contracts.estimates import Estimate, EstimateRequest
from frontend.components import backend, words
from frontend.components.config_form import label_of


def estimate(config: ExperimentConfig) -> None:
    """Draw it for this config."""
    st.subheader("What it will be", help="Follows from the config and, for the time, from earlier runs.")
    found = backend.tried(backend.client().estimate, EstimateRequest(config=config))
    if found is None:
        return
    st.html(estimate_html(found))
    for advice in found.advice:
        st.info(f"**{label_of(advice.field.removeprefix('config.'))}.** {advice.message}", icon=":material/info:")


def estimate_html(found: Estimate) -> str:
    """A table of what is known."""
    cell = "padding:0.15rem 0.8rem 0.15rem 0;vertical-align:top"
    rows = "".join(
        f'<tr><th style="{cell};text-align:left;white-space:nowrap;font-weight:500">{escape(name)}</th>'
        f'<td style="{cell}">{escape(text)}</td></tr>'
        for name, text in estimate_rows(found)
    )
    return f'<table style="font-size:0.9rem">{rows}</table>'


def estimate_rows(found: Estimate) -> list[tuple[str, str]]:
    """Name and value of everything that is known, in words."""
    rows: list[tuple[str, str]] = []
    if found.steps is not None and found.steps_per_epoch is not None:
        rows.append(("Steps", f"{found.steps:,}, {found.steps_per_epoch:,} an epoch"))
    rows.append(("Peak rate", f"{found.peak_learning_rate:.4g}"))
    rows.append(("Encoder", _encoder(found)))
    if found.z_dim is not None:
        head = f", head of {words.amount(found.head_parameters)} parameters" if found.head_parameters else ""
        rows.append(("z", f"{found.z_dim:,} dimensions{head}"))
    rows.append(
        ("A step", f"{found.views_per_step:,} views, each compared with {found.candidates_per_anchor:,} others")
    )
    rows.append(("Batch norm", found.batch_norm))
    if found.pixel_bytes is not None:
        rows.append(("Images", f"{found.images:,}, {words.size(found.pixel_bytes)} of pixels on the device"))
    rows.append(("Pretraining", _time(found)))
    return rows


def _encoder(found: Estimate) -> str:
    if found.encoder_parameters is None:
        return "a net of timm: its size is not known here"
    return f"{words.amount(found.encoder_parameters)} parameters, stem {found.encoder_stem}, h of {found.h_dim:,} dimensions"


def _time(found: Estimate) -> str:
    if found.seconds_source == "unknown" or found.images_per_second is None:
        return "time unknown: no such run was measured on a worker that is alive"
    runs = words.count(found.measured_runs, "run")
    return (
        f"about {words.duration(found.seconds)}, measured: {found.images_per_second:,.0f} images/s in {runs} "
        f"on {found.device}"
    )
