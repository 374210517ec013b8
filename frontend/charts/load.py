"""Figure: the load that a run puts on its machine over time, one quantity at a time."""

import re
from collections.abc import Iterable, Mapping

import altair as alt
import pandas as pd

from backend.contracts.runs import SystemSample

LOADS: Mapping[str, tuple[str, str, float]] = {
    "gpu_percent": ("GPU utilisation (%)", ".0f", 1.0),
    "gpu_memory_bytes": ("GPU memory (GB)", ".1f", 1e-9),
    "gpu_celsius": ("GPU temperature (°C)", ".0f", 1.0),
    "gpu_watts": ("GPU power (W)", ".0f", 1.0),
    "cpu_percent": ("Processor (%; 100: one core)", ".0f", 1.0),
    "memory_bytes": ("Memory of the process (GB)", ".2f", 1e-9),
}
"""What is drawn, in this order: its axis in words, the format of a value, and the factor from the unit that was measured."""
_NAME = re.compile(r"(?:gpu(?P<gpu>\d+)_)?(?P<quantity>\w+)")


def load_points(samples: Iterable[SystemSample]) -> pd.DataFrame:
    """Columns time, load (a key of ``LOADS``), device, value in the axis's unit; what was not measured is not there."""
    rows: list[dict[str, object]] = []
    for sample in samples:
        for name, value in sample.values.items():  # noqa: PD011 - no frame
            match = _NAME.fullmatch(name)
            gpu = match["gpu"] if match else None
            load = f"gpu_{match['quantity']}" if match and gpu else name
            if load in LOADS:
                device = f"GPU {gpu}" if gpu else "process"
                rows.append({"time": sample.time, "load": load, "device": device, "value": value * LOADS[load][2]})
    return pd.DataFrame(rows, columns=["time", "load", "device", "value"])


def load_chart(points: pd.DataFrame, load: str, *, height: int = 150) -> alt.Chart:
    """A line for each device from the rows of ``load_points`` of this load."""
    title, value_format, _ = LOADS[load]
    devices = list(points["device"].unique())
    return (
        alt.Chart(points, height=height + (50 if len(devices) > 1 else 0))
        .mark_line(strokeWidth=1.6, point=len(points) == len(devices))
        .encode(
            x=alt.X("time:T", title=None, axis=alt.Axis(grid=False, tickCount=5)),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=4)),
            color=alt.Color(
                "device:N",
                title=None,
                scale=alt.Scale(domain=devices),
                legend=alt.Legend(orient="bottom") if len(devices) > 1 else None,
            ),
            tooltip=[
                alt.Tooltip("time:T", title="Time", format="%Y-%m-%d %H:%M:%S"),
                alt.Tooltip("device:N", title="Of"),
                alt.Tooltip("value:Q", title=title, format=value_format),
            ],
        )
    )
