"""Rows: a batch out of any source is what indexing an array gives, and nothing is copied before it is asked for."""

import numpy as np
import pytest
import torch

from worker.simclr.data.rows import Rows, choose, gather, join

SHAPE = (3, 40, 40)  # more than a page, so that reading ahead takes part


def images(count, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, *SHAPE), dtype=np.uint8))


def mapped(path, pixels):
    path.write_bytes(pixels.numpy().tobytes())
    return torch.from_numpy(np.memmap(path, dtype=np.uint8, mode="c", shape=tuple(pixels.shape)))


def index(*numbers):
    return torch.tensor(numbers, dtype=torch.int64)


def test_gather_is_numpys_indexing_for_arrays_maps_subsets_and_joined_sources(tmp_path):
    first, second = images(9), images(5, seed=1)
    file = mapped(tmp_path / "a.bin", first)
    chosen = index(7, 0, 3, 8)
    both = np.concatenate([first.numpy(), second.numpy()])
    subset_and_second = np.concatenate([first.numpy()[chosen.numpy()], second.numpy()])
    for source, expected in (
        (first, first.numpy()),
        (file, first.numpy()),
        (choose(file, chosen), first.numpy()[chosen.numpy()]),
        (choose(choose(file, chosen), index(2, 1)), first.numpy()[[3, 0]]),
        (join(file, second), both),
        (join(choose(file, chosen), second), subset_and_second),
        (join(second, join(file, second)), np.concatenate([second.numpy(), both])),
        (choose(join(file, second), index(13, 2)), both[[13, 2]]),
    ):
        batch = torch.randint(len(expected), (6,), generator=torch.Generator().manual_seed(0))
        assert len(source) == len(expected)
        assert tuple(source.shape) == expected.shape
        assert np.array_equal(gather(source, batch).numpy(), expected[batch.numpy()])
        assert np.array_equal(source[batch].numpy(), expected[batch.numpy()])
        assert np.array_equal(source[1:-1].numpy(), expected[1:-1])


def test_gather_writes_into_the_buffer_it_is_given():
    source = join(images(4), images(4, seed=1))
    buffer = torch.zeros(3, *SHAPE, dtype=torch.uint8)
    assert gather(source, index(5, 0, 5), buffer) is buffer
    assert torch.equal(buffer, torch.stack([images(4, seed=1)[1], images(4)[0], images(4, seed=1)[1]]))


@pytest.mark.parametrize(
    "buffer",
    [
        torch.zeros(2, *SHAPE, dtype=torch.uint8),
        torch.zeros(3, *SHAPE),
        torch.zeros(*SHAPE, 3, dtype=torch.uint8).movedim(-1, 0),
    ],
)
def test_a_buffer_that_does_not_fit_is_refused(buffer):
    with pytest.raises(ValueError, match="out must be contiguous uint8"):
        gather(images(4), index(0, 1, 2), buffer)


@pytest.mark.parametrize("source", [images(4), Rows([images(4)]), join(images(2), images(2))])
@pytest.mark.parametrize("wrong", [4, -1])
def test_an_index_that_is_not_there_is_refused(source, wrong):
    with pytest.raises((IndexError, RuntimeError)):
        gather(source, index(0, wrong))


def test_images_of_different_shapes_are_not_joined():
    with pytest.raises(ValueError, match="different shapes"):
        join(images(2), images(2)[:, :1])


def test_a_subset_and_a_join_share_the_memory_of_their_sources():
    first, second = images(9), images(5, seed=1)
    source = choose(join(choose(first, index(1, 2, 3)), second), index(4, 0))
    assert [part.data_ptr() for part in source.parts] == [first.data_ptr(), second.data_ptr()]
    assert source.nbytes == 2 * images(1).nbytes


def test_all_rows_as_a_tensor_and_one_after_the_other():
    source = choose(join(images(3), images(2, seed=1)), index(4, 1))
    expected = torch.stack([images(2, seed=1)[1], images(3)[1]])
    assert torch.equal(source.to(torch.device("cpu")), expected)
    assert torch.equal(torch.stack(list(source)), expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_rows_reach_the_gpu_through_pinned_memory():
    source = join(images(4), images(4, seed=1))
    buffer = torch.zeros(2, *SHAPE, dtype=torch.uint8).pin_memory()
    assert gather(source, index(6, 1), buffer).to("cuda", non_blocking=True).cpu().equal(source[index(6, 1)])
    assert source.to(torch.device("cuda")).cpu().equal(source[0:8])
