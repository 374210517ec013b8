"""How the page says things: states, durations, shares, sizes."""

from datetime import UTC, datetime

from backend.contracts.augmentation import AugmentationConfig
from backend.contracts.runs import ENDED, RunRead, RunState

STATES: dict[RunState, str] = {
    "queued": "gray",
    "running": "blue",
    "stopping": "orange",
    "succeeded": "green",
    "failed": "red",
    "stopped": "violet",
}
"""Every state with its colour; the word is always shown too."""
_ICONS: dict[RunState, str] = {
    "queued": "schedule",
    "running": "play_arrow",
    "stopping": "hourglass_bottom",
    "succeeded": "check",
    "failed": "error",
    "stopped": "stop",
}
PHASES = {"loading": "loading images", "pretraining": "pretraining", "evaluating": "evaluating"}


def badge(state: RunState) -> str:
    """The state as coloured text in Markdown."""
    return f":{STATES[state]}-badge[:material/{_ICONS[state]}: {state}]"


def duration(seconds: float | None) -> str:
    """Such as ``45 s``, ``3 min 20 s``, ``2 h 5 min``, ``3 d 4 h``; empty where unknown."""
    if seconds is None:
        return ""
    whole = max(0, round(seconds))
    for unit, size, smaller, smaller_size in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // smaller_size
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


def percent(share: float | None) -> str:
    """Such as ``43.1%``; a dash where there is none yet."""
    return "-" if share is None else f"{share:.1%}"


def size(size_bytes: float) -> str:
    """Such as ``12.3 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} TB"


def amount(number: float) -> str:
    """A large number, such as ``11.2 million`` or ``66 thousand``."""
    for unit, size_ in (("billion", 1e9), ("million", 1e6), ("thousand", 1e3)):
        if number >= size_:
            return f"{number / size_:.3g} {unit}"
    return f"{number:,.0f}"


def count(number: int, singular: str, plural: str | None = None) -> str:
    """Such as ``1 run`` and ``3 runs``."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def augmentation(config: AugmentationConfig) -> str:
    """The composition, such as ``crop + flip + color 0.5``."""
    one = " (one branch)" if config.branches == "one" else ""
    return config.label + one


def has_ended(run: RunRead) -> bool:
    """Whether the run will not change by itself any more."""
    return run.state in ENDED


def elapsed(run: RunRead) -> float | None:
    """Seconds from the run's start to its end, or until now."""
    if run.started_at is None:
        return None
    return ((run.finished_at or datetime.now(UTC)) - run.started_at).total_seconds()
