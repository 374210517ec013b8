"""Datasets: what is there, bring a zip or a folder, import a known one, delete."""

import re
from collections.abc import Iterator
from typing import Any, BinaryIO

import streamlit as st

from backend.client import ApiError
from backend.contracts.datasets import (
    DEFAULT_IMAGE_SIZE,
    KNOWN_DATASETS,
    Channels,
    DatasetCreate,
    DatasetRead,
    DatasetStats,
)
from frontend.components import backend, dataset_parts, words
from frontend.components.text import plain, plain_lines

_CHUNK = 1 << 20
_IMPORTS = "datasets:imports"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CHANNELS: dict[Channels, str] = {"auto": "as they are", 3: "colour", 1: "grey"}


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
        zipped, folder, known = st.tabs(["Zip", "Folder on the server", "Known datasets"])
        taken = {dataset.name for dataset in there}
        with zipped:
            _zip(taken)
        with folder:
            _folder(taken)
        with known:
            _known(taken)


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
        st.markdown(f"**{plain(dataset.name)}**")
        if dataset.state == "importing":
            st.progress(min(1.0, dataset.progress), text=f"importing, {dataset.progress:.0%}")
        elif dataset.state == "failed":
            st.error(
                f"{plain_lines(dataset.error or 'The import failed.')} Delete it, mend the file, and bring it again."
            )
        if dataset.name == "shapes":
            st.caption("Coloured shapes, drawn here from a seed. Always ready, nothing to download.")
        if dataset.stats:
            _stats(dataset.stats)

    if dataset.created_at is not None and button.button(
        "Delete", icon=":material/delete:", key=f"datasets:delete:{dataset.name}"
    ):
        _confirm_delete(dataset.name)


def _stats(stats: DatasetStats) -> None:
    st.caption(dataset_parts.facts(stats))
    if stats.classes or stats.mean:
        with st.expander("Details"):
            for line in (*stats.notes, dataset_parts.channel_facts(stats)):
                st.caption(plain(line))
            if stats.classes:
                st.dataframe(dataset_parts.class_table(stats), hide_index=True, height=220)
    if stats.broken_total:
        with st.expander(
            f":orange[{words.count(stats.broken_total, 'file')} could not be read and {_is(stats)} left out]"
        ):
            st.dataframe(dataset_parts.broken_table(stats), hide_index=True, height=220)
            if stats.broken_total > len(stats.broken):
                st.caption(f"The first {len(stats.broken):,} are shown.")


def _is(stats: DatasetStats) -> str:
    return "is" if stats.broken_total == 1 else "are"


def _zip(taken: set[str]) -> None:
    st.caption(
        "One folder a class, inside `train/` and `test/`, or without them: then a share is kept for testing. Images "
        "without a class go into `unlabelled/`."
    )
    file = st.file_uploader("Zip of images", type="zip", key=_key("zip"))
    proposed = re.sub(r"[^A-Za-z0-9._-]+", "-", file.name.removesuffix(".zip")).strip("-._") if file else ""
    name = _name("zip", proposed, taken)
    options = _options("zip", DEFAULT_IMAGE_SIZE) | _test_share("zip")
    if (
        st.button("Import", type="primary", key="datasets:zip:go", disabled=file is None or name is None)
        and file
        and name
    ):
        with st.spinner("Handing the zip to the backend…"):
            done = backend.tried(backend.client().upload_dataset, name, _chunks(file), **options)
        _begun(done)


def _folder(taken: set[str]) -> None:
    st.caption(
        "A folder or a zip on the machine that runs the backend, ImageNet's `train/` and `val/` too. Best for many "
        "gigabytes: nothing is copied through the browser."
    )
    path = st.text_input("Path", placeholder="/data/my-images", key=_key("path"))
    name = _name("folder", "", taken)
    options = _options("folder", DEFAULT_IMAGE_SIZE) | _test_share("folder")
    if (
        st.button("Import", type="primary", key="datasets:folder:go", disabled=not path.strip() or name is None)
        and name
    ):
        request = DatasetCreate(name=name, source="folder", path=path.strip(), **options)
        _begun(backend.tried(backend.client().import_dataset, request))


def _known(taken: set[str]) -> None:
    known = st.selectbox("Dataset", KNOWN_DATASETS, format_func=lambda one: one.title, key="datasets:known")
    st.caption(f"{known.about} The worker downloads {known.download} through torchvision.")
    options = _options(f"known:{known.name}", known.image_size)
    label = f"{known.title} is there" if known.name in taken else f"Import {known.title}"
    if st.button(label, type="primary", disabled=known.name in taken, key="datasets:known:go"):
        request = DatasetCreate(name=known.name, source="torchvision", **options)
        _begun(backend.tried(backend.client().import_dataset, request))


def _begun(dataset: DatasetRead | None) -> None:
    """The import goes on in the list: empty the fields and show it."""
    if dataset:
        st.session_state[_IMPORTS] = st.session_state.get(_IMPORTS, 0) + 1
        st.rerun()


def _key(name: str) -> str:
    """The key of a field, another one after each import, so that it is empty again."""
    return f"datasets:{name}:{st.session_state.get(_IMPORTS, 0)}"


def _name(tab: str, proposed: str, taken: set[str]) -> str | None:
    """The name, or None where it cannot be."""
    # the proposal is part of the key: another file proposes another name
    name = st.text_input("Name", value=proposed, key=_key(f"{tab}:name:{proposed}"), max_chars=64).strip()
    problem = name_problem(name, taken)
    if name and problem:
        st.markdown(f":red[:material/error: {plain(problem)}]")
    return None if problem else name


def _options(tab: str, image_size: int) -> dict[str, Any]:
    """Side of the images in pixels, and their channels."""
    left, right = st.columns(2)
    size = left.number_input(
        "Image size (pixels)", min_value=8, max_value=512, value=image_size, key=f"datasets:{tab}:size",
        help="Images are resized and centre-cropped to this side. A run sees them at this size or a smaller one.",
    )  # fmt: skip
    channels = right.selectbox(
        "Colours", list(_CHANNELS), format_func=lambda one: _CHANNELS[one], key=f"datasets:{tab}:channels",
        help="'as they are': grey where all images are, else colour; arrays (.npy) keep their channels.",
    )  # fmt: skip
    return {"image_size": int(size), "channels": channels}


def _test_share(tab: str) -> dict[str, Any]:
    percent = st.slider(
        "Kept for testing", 5, 50, 20, step=5, format="%d%%", key=f"datasets:{tab}:share",
        help="Share of each class, chosen by a fixed seed. Of no meaning where there is a folder `test`.",
    )  # fmt: skip
    return {"test_share": percent / 100}


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
    st.write(f"**{plain(name)}** goes, with its images. Runs that used it keep their results.")
    if st.button("Delete", type="primary"):
        try:
            backend.client().delete_dataset(name)
        except ApiError as error:
            backend.refused(error)
        else:
            st.rerun()


if __name__ == "__main__":
    show()
