"""Datasets: what is there, bring a zip, import CIFAR, delete."""

import re
from collections.abc import Iterator
from typing import BinaryIO

import pandas as pd
import streamlit as st

from backend.client import ApiError
from backend.contracts.datasets import DatasetCreate, DatasetRead, DatasetStats
from frontend.components import backend, words

_CHUNK = 1 << 20
_IMPORTS = "datasets:imports"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TORCHVISION = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}


def show() -> None:
    """The whole page."""
    st.title("Datasets")
    there = backend.client().datasets()
    importing = any(dataset.state == "importing" for dataset in there)
    left, right = st.columns([3, 2], gap="large")
    with left:
        backend.live(lambda: _list(importing), seconds=1.0, while_=importing)
    with right:
        st.subheader("Bring your own images")
        zipped, folder, torchvision = st.tabs(["Zip", "Folder on the server", "CIFAR"])
        taken = {dataset.name for dataset in there}
        with zipped:
            _zip(taken)
        with folder:
            _folder(taken)
        with torchvision:
            _cifar(taken)


def _list(was_importing: bool) -> None:
    there = backend.client().datasets()
    if any(dataset.state == "importing" for dataset in there) != was_importing:
        st.rerun()
    for dataset in there:
        with st.container(border=True):
            _dataset(dataset)


def _dataset(dataset: DatasetRead) -> None:
    text, button = st.columns([4, 1], vertical_alignment="center")
    with text:
        st.markdown(f"**{dataset.name}**")
        if dataset.state == "importing":
            st.progress(min(1.0, dataset.progress), text=f"importing, {dataset.progress:.0%}")
        elif dataset.state == "failed":
            st.error(f"{dataset.error or 'The import failed.'} Delete it, mend the file, and bring it again.")
        if dataset.name == "shapes":
            st.caption("Coloured shapes, drawn here from a seed. Always ready, nothing to download.")
        if dataset.stats:
            _stats(dataset.stats)

    if dataset.created_at is not None and button.button(
        "Delete", icon=":material/delete:", key=f"datasets:delete:{dataset.name}"
    ):
        _confirm_delete(dataset.name)


def _stats(stats: DatasetStats) -> None:
    facts = [f"{stats.train_images:,} training and {stats.test_images:,} test images"]
    if stats.classes:
        facts.append(words.count(len(stats.classes), "class", "classes"))
    facts.append(f"{stats.image_size} by {stats.image_size} {'colour' if stats.channels == 3 else 'grey'}")
    if stats.size_bytes:
        facts.append(words.size(stats.size_bytes))
    st.caption(" · ".join(facts))
    if stats.classes:
        with st.expander("Classes"):
            st.write(", ".join(stats.classes))
    if stats.broken_total:
        with st.expander(
            f":orange[{words.count(stats.broken_total, 'file')} could not be read and {_is(stats)} left out]"
        ):
            st.dataframe(pd.DataFrame([one.model_dump() for one in stats.broken]), hide_index=True, height=220)
            if stats.broken_total > len(stats.broken):
                st.caption(f"The first {len(stats.broken):,} are shown.")


def _is(stats: DatasetStats) -> str:
    return "is" if stats.broken_total == 1 else "are"


def _zip(taken: set[str]) -> None:
    st.caption("One folder a class, inside `train/` and `test/`, or without them: then a fifth is kept for testing.")
    file = st.file_uploader("Zip of images", type="zip", key=_key("zip"))
    proposed = re.sub(r"[^A-Za-z0-9._-]+", "-", file.name.removesuffix(".zip")).strip("-._") if file else ""
    name, size = _name_and_size("zip", proposed, taken)
    if (
        st.button("Import", type="primary", key="datasets:zip:go", disabled=file is None or name is None)
        and file
        and name
    ):
        with st.spinner("Handing the zip to the backend…"):
            done = backend.tried(backend.client().upload_dataset, name, _chunks(file), image_size=size)
        _begun(done)


def _folder(taken: set[str]) -> None:
    st.caption(
        "A folder or a zip on the machine that runs the backend. Best for many gigabytes: nothing is copied through the browser."
    )
    path = st.text_input("Path", placeholder="/data/my-images", key=_key("path"))
    name, size = _name_and_size("folder", "", taken)
    if (
        st.button("Import", type="primary", key="datasets:folder:go", disabled=not path.strip() or name is None)
        and name
    ):
        request = DatasetCreate(name=name, source="folder", path=path.strip(), image_size=size)
        _begun(backend.tried(backend.client().import_dataset, request))


def _cifar(taken: set[str]) -> None:
    st.caption("Downloaded through torchvision, about 170 MB each, by the worker.")
    for name, title in _TORCHVISION.items():
        label = f"{title} is there" if name in taken else f"Import {title}"
        if st.button(label, disabled=name in taken, key=f"datasets:torchvision:{name}"):
            request = DatasetCreate(name=name, source="torchvision")
            _begun(backend.tried(backend.client().import_dataset, request))


def _begun(dataset: DatasetRead | None) -> None:
    """The import goes on in the list: empty the fields and show it."""
    if dataset:
        st.session_state[_IMPORTS] = st.session_state.get(_IMPORTS, 0) + 1
        st.rerun()


def _key(name: str) -> str:
    """The key of a field, another one after each import, so that it is empty again."""
    return f"datasets:{name}:{st.session_state.get(_IMPORTS, 0)}"


def _name_and_size(tab: str, proposed: str, taken: set[str]) -> tuple[str | None, int]:
    """The name, or None where it cannot be, and the side of the images in pixels."""
    # the proposal is part of the key: another file proposes another name
    name = st.text_input("Name", value=proposed, key=_key(f"{tab}:name:{proposed}"), max_chars=64).strip()
    size = st.number_input(
        "Image size (pixels)", min_value=8, max_value=512, value=32, key=f"datasets:{tab}:size",
        help="Images are resized and centre-cropped to this side.",
    )  # fmt: skip
    problem = name_problem(name, taken)
    if name and problem:
        st.markdown(f":red[:material/error: {problem}]")
    return (None if problem else name), int(size)


def name_problem(name: str, taken: set[str]) -> str | None:
    """What is wrong with a new dataset's name."""
    if name in taken:
        return f"There is a dataset '{name}' already. Choose another name or delete it first."
    if not _NAME.fullmatch(name):
        return "Use letters, digits, dots, dashes and underscores, and begin with a letter or digit."
    return None


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while chunk := file.read(_CHUNK):
        yield chunk


@st.dialog("Delete this dataset?")
def _confirm_delete(name: str) -> None:
    st.write(f"**{name}** goes, with its images. Runs that used it keep their results.")
    if st.button("Delete", type="primary"):
        try:
            backend.client().delete_dataset(name)
        except ApiError as error:
            backend.refused(error)
        else:
            st.rerun()


if __name__ == "__main__":
    show()
