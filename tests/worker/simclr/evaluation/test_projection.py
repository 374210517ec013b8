"""The map of images: its axes, its neighbours and its thumbnails."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from worker.simclr.evaluation import projection
from worker.simclr.evaluation.projection import choose_images, nearest, plane, principal_components, thumbnail_sheet


def blobs():
    """60 features in two groups that are far from each other in angle."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[5.0, 0, 0, 1], [0, 5.0, 0, 1]])
    return centres[torch.arange(60) % 2] + 0.3 * torch.randn(60, 4, generator=generator)


def test_principal_components_are_those_of_scikit_learn_up_to_sign():
    x = blobs()
    expected = PCA(2).fit_transform(x.double().numpy())
    np.testing.assert_allclose(np.abs(principal_components(x).numpy()), np.abs(expected), atol=1e-4)


UMAP = pytest.param(
    "umap", marks=pytest.mark.filterwarnings("ignore:Tensorflow not installed", "ignore::DeprecationWarning")
)


@pytest.mark.parametrize("method", ["pca", "tsne", UMAP])
def test_groups_of_features_are_groups_on_the_map_and_the_seed_gives_the_same_map(method):
    x = blobs()
    places = plane(method, x, seed=0)
    assert places.shape == (60, 2)
    first, second = places[0::2], places[1::2]
    apart = (first.mean(0) - second.mean(0)).norm()
    assert apart > 2 * max((first - first.mean(0)).norm(dim=1).mean(), (second - second.mean(0)).norm(dim=1).mean())
    assert torch.equal(plane(method, x, seed=0), places)


def test_places_go_by_angle_and_not_by_length():
    x = blobs()
    torch.testing.assert_close(plane("pca", 3 * x, seed=0), plane("pca", x, seed=0), atol=1e-4, rtol=1e-4)


def test_the_neighbours_are_the_most_similar_other_images(monkeypatch):
    monkeypatch.setattr(projection, "BLOCK", 7)
    x = torch.randn(23, 5, generator=torch.Generator().manual_seed(0))
    rows = x.double().numpy()
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    similarity = rows @ rows.T
    np.fill_diagonal(similarity, -2)
    assert nearest(x, 4).tolist() == np.argsort(-similarity, axis=1)[:, :4].tolist()
    assert nearest(x, 50).shape == (23, 22)
    assert nearest(x, 0).shape == (23, 0)


def test_the_images_on_the_map_are_chosen_by_the_seed_and_all_are_taken_where_there_are_fewer():
    chosen = choose_images(100, 10, seed=1)
    assert len(chosen.unique()) == 10
    assert torch.equal(chosen, choose_images(100, 10, seed=1))
    assert not torch.equal(chosen, choose_images(100, 10, seed=2))
    assert choose_images(7, 10, seed=1).tolist() == list(range(7))


def test_a_thumbnail_is_found_by_its_place_in_the_row_by_row_sheet():
    pixels = torch.randint(256, (7, 3, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    sheet, columns, side = thumbnail_sheet(pixels)
    assert (columns, side, tuple(sheet.shape)) == (3, 8, (3, 24, 24))
    for number in range(7):
        row, column = divmod(number, columns)
        assert torch.equal(sheet[:, row * 8 : row * 8 + 8, column * 8 : column * 8 + 8], pixels[number])
    assert thumbnail_sheet(torch.zeros(2, 1, 64, 64, dtype=torch.uint8))[0].shape == (1, 32, 64)
