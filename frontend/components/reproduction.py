"""What is needed to repeat a run, and the command that does."""

import pandas as pd
import streamlit as st

from backend.contracts.runs import RunRead
from frontend.components import backend, words
from frontend.components.text import cell, visible


def reproduction(run: RunRead) -> None:
    """The command, the config as a file, and what the last attempt ran on."""
    st.markdown("**Again, without the server.** Save the config beside the code, then:")
    st.code(commands(run), language="bash")
    if any(move.reason.startswith("resumed at step") for move in backend.client().transitions(run.id)):
        st.caption(
            "This run went on with a changed config (see History), so up to that step its learning rate was another than "
            "in a run that has this config from the start."
        )
    st.download_button(
        "config.json",
        data=run.config.model_dump_json(indent=2),
        file_name="config.json",
        mime="application/json",
        icon=":material/download:",
        on_click="ignore",
    )
    st.dataframe(pd.DataFrame(facts(run), columns=["what", "value"]), hide_index=True, column_config=_COLUMNS)
    if run.environment is None:
        st.caption("Commit, packages and hardware are known once the run has begun.")
        return
    packages = {name: version for name, version in run.environment.packages.items() if name != "python"}
    if packages:
        st.caption("Packages")
        st.code("\n".join(visible(f"{name}=={version}") for name, version in sorted(packages.items())), None)


_COLUMNS = {"what": st.column_config.TextColumn("What", width=180), "value": "Value"}


def commands(run: RunRead) -> str:
    """Shell lines that train the same net on the same images, run where the code and ``config.json`` are."""
    lines: list[str] = []
    commit = run.environment.git_commit if run.environment else None
    if commit:
        note = "  # there were changes on top" if commit.endswith("+") else ""
        lines.append(f"git checkout {visible(commit.removesuffix('+'))}{note}")
    gpus = run.config.resources.gpus
    start = f".venv/bin/torchrun --nproc-per-node {gpus} -m" if gpus > 1 else ".venv/bin/python -m"
    data = f" --data {backend.home() / 'packs' / run.pack_sha256}" if run.pack_sha256 else ""
    others = run.config.evaluation.transfer.datasets if run.config.evaluation.transfer else ()
    transfer = "".join(f" --transfer {name}={name}.zip" for name in others)
    lines.append(f"{start} worker.train config.json again{data}{transfer}")
    return "\n".join(lines)


def facts(run: RunRead) -> list[tuple[str, str]]:
    """Seed, images, commit, Python and hardware, by name."""
    found = [("seed", str(run.config.training.seed)), ("dataset", run.config.dataset.name)]
    if run.pack_sha256:
        found.append(("images, sha256", run.pack_sha256))
    if run.environment is not None:
        if commit := run.environment.git_commit:
            found.append(("git commit", commit))
        if python := run.environment.packages.get("python"):
            found.append(("python", python))
        found += [_said(name, value) for name, value in run.environment.hardware.items()]
    return [(cell(name), cell(value)) for name, value in found]


def _said(name: str, value: float | str) -> tuple[str, str]:
    if name.endswith("_bytes") and not isinstance(value, str):
        return name.removesuffix("_bytes").replace("_", " "), words.size(value)
    return name.replace("_", " "), str(value)
