"""Rendered shapes: the same from a seed, balanced, and with colours that say nothing about the class."""

import torch

from worker.simclr.data.shapes import CLASSES, render_shapes


def test_the_same_seed_renders_the_same_bytes():
    one, two = (render_shapes(16, seed=4, train_images=100, test_images=50) for _ in range(2))
    assert torch.equal(one.train.pixels, two.train.pixels)
    assert torch.equal(one.test.labels, two.test.labels)
    other = render_shapes(16, seed=5, train_images=100, test_images=50)
    assert not torch.equal(one.train.pixels, other.train.pixels)


def test_classes_are_equally_often_in_both_splits_and_no_image_is_in_both():
    shapes = render_shapes(16, train_images=500, test_images=200)
    assert shapes.classes == CLASSES
    assert shapes.train.labels.bincount().tolist() == [50] * 10
    assert shapes.test.labels.bincount().tolist() == [20] * 10
    assert torch.cdist(shapes.train.pixels.flatten(1).float(), shapes.test.pixels.flatten(1).float()).min() > 0


def test_images_have_the_size_that_is_asked_for():
    shapes = render_shapes(48, train_images=20, test_images=10)
    assert shapes.train.pixels.shape == (20, 3, 48, 48)
    assert shapes.train.pixels.dtype == torch.uint8


def test_the_mean_colour_says_nothing_about_the_class():
    """The form alone must tell the class: nearest class mean by mean colour is no better than chance (0.1)."""
    shapes = render_shapes(train_images=3000, test_images=1000)
    train, test = (split.pixels.float().mean(dim=(2, 3)) for split in (shapes.train, shapes.test))
    centres = torch.stack([train[shapes.train.labels == label].mean(0) for label in range(10)])
    guessed = torch.cdist(test, centres).argmin(1)
    assert (guessed == shapes.test.labels).float().mean() < 0.15


def test_two_halves_of_an_image_share_their_colours():
    """The shortcut of section 3.1: colour tells which image a crop is from."""
    pixels = render_shapes(train_images=200, test_images=10).train.pixels.float()
    left, right = (half.mean(dim=(2, 3)) for half in pixels.chunk(2, dim=3))
    nearest = torch.cdist(left, right).argmin(1)
    assert (nearest == torch.arange(200)).float().mean() > 0.2
