"""A tiny pack of images to train on, and one thread a process: two that wait for each other by spinning stand still."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is loaded; processes that a test starts inherit it

import json

import numpy as np
import pytest
import torch

from tests.worker.bench import Bench
from worker.simclr.data.dataset import ImageDataset
from worker.simclr.data.pack import PackWriter, load_pack

torch.set_num_threads(1)

TINY = {
    "dataset": {"name": "tiny", "image_size": 8},
    "encoder": {"width": 0.0625, "stem": "stride2"},
    "head": {"output_dim": 16},
    "training": {"epochs": 3, "batch_size": 16, "precision": "fp32", "checkpoint_every_epochs": 1},
    "evaluation": {"knn_every_epochs": 2, "knn_neighbors": 5},
}
"""A config that trains in a second on ``tiny_pack``."""


def tiny_config(**sections):
    """``TINY`` with some fields of some sections changed."""
    return {name: {**TINY.get(name, {}), **sections.get(name, {})} for name in {*TINY, *sections}}


def result_of(steps):
    """Run a generator that yields the share done to its end; returns its result."""
    shares = [0.0]
    while True:
        try:
            shares.append(next(steps) or 0.0)
        except StopIteration as stop:
            assert shares == sorted(shares)
            assert shares[-1] <= 1
            return stop.value


@pytest.fixture(scope="session")
def tiny_pack(tmp_path_factory):
    """The folder of a pack of 64 training and 24 test images, 8 x 8, of three classes that differ in colour."""
    random = np.random.default_rng(0)
    packs = tmp_path_factory.mktemp("packs")
    with PackWriter(packs, ("blue", "green", "red"), 8) as writer:
        for split, count in (("train", 64), ("test", 24)):
            for index in range(count):
                pixels = random.integers(0, 160, (3, 8, 8))
                pixels[2 - index % 3] += 60
                writer.add(split, pixels.astype(np.uint8), index % 3)
        return writer.finish()[1]


@pytest.fixture
def tiny_images(tiny_pack) -> ImageDataset:
    return load_pack(tiny_pack)


@pytest.fixture
def write_config(tmp_path):
    """Writes ``tiny_config(**sections)`` to a file and returns its path."""

    def write(**sections):
        path = tmp_path / "config.json"
        path.write_text(json.dumps(tiny_config(**sections)))
        return path

    return write


@pytest.fixture
def bench(tmp_path, monkeypatch) -> Bench:
    """A place to supervise at, with a fake backend."""
    return Bench(tmp_path, monkeypatch)
