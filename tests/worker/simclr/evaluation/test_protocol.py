"""Evaluation of a frozen encoder: what it leaves untouched, what it looks at, and that it counts every image."""

import pytest
import torch
from torch import nn

from tests.worker.conftest import result_of
from worker.simclr.augmentation.views import resized
from worker.simclr.data.dataset import ImageDataset, Images
from worker.simclr.evaluation import features
from worker.simclr.evaluation.features import extract_features, state_sha256
from worker.simclr.evaluation.protocol import PROBE_AUGMENTATION, Protocol, evaluate_knn
from worker.simclr.nets.encoders import ResNet

PROTOCOL = Protocol(image_size=8, precision="fp32", neighbors=3)


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return ResNet("resnet18", 0.0625, "stride2").train()


def test_the_hash_of_weights_and_batch_norm_buffers_is_the_same_before_and_after(encoder, tiny_images):
    encoder(torch.rand(4, 3, 8, 8))  # running statistics that are not those of the start
    before = state_sha256(encoder)
    result_of(evaluate_knn(encoder, tiny_images, PROTOCOL))
    assert state_sha256(encoder) == before
    assert encoder.training  # and the mode is as it was
    assert all(parameter.grad is None for parameter in encoder.parameters())


def test_the_hash_sees_weights_and_buffers(encoder):
    hashes = {state_sha256(encoder)}
    encoder.bn1.running_mean += 1e-6
    hashes.add(state_sha256(encoder))
    encoder.bn1.num_batches_tracked += 1
    hashes.add(state_sha256(encoder))
    with torch.no_grad():
        encoder.conv1.weight[0, 0, 0, 0] += 1e-6
    hashes.add(state_sha256(encoder))
    assert len(hashes) == 4


def test_features_are_h_of_the_image_itself_in_eval_mode_whatever_the_batch(encoder, tiny_images, monkeypatch):
    pixels = tiny_images.test.pixels
    monkeypatch.setattr(features, "FEATURE_BATCH", 7)  # 24 = 3 * 7 + 3
    found = result_of(extract_features(encoder, pixels, image_size=8, precision="fp32"))
    with torch.no_grad():
        expected = encoder.eval()(pixels.float() / 255)
    assert found.shape == (24, encoder.feature_dim)
    torch.testing.assert_close(found, expected)
    assert torch.equal(resized(pixels, 8), pixels.float() / 255)
    assert PROBE_AUGMENTATION == "none"


class FirstPixel(nn.Module):
    """An encoder whose h is the first pixel: accuracies can be counted by hand."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, images):
        return images[:, :, 0, 0] * self.scale


def colours(labels):
    """Images whose first pixel is red, green or blue by label."""
    pixels = torch.zeros(len(labels), 3, 8, 8, dtype=torch.uint8)
    pixels[torch.arange(len(labels)), labels, 0, 0] = 200
    return pixels


def test_every_test_image_counts_once_in_the_accuracy_during_training(monkeypatch):
    monkeypatch.setattr(features, "FEATURE_BATCH", 5)
    seen = torch.arange(30) % 3
    truth = torch.arange(23) % 3
    shown = truth.clone()
    shown[-4:] = (shown[-4:] + 1) % 3  # four mistakes, all in the last, incomplete batch
    dataset = ImageDataset(Images(colours(seen), seen), Images(colours(shown), truth), ("r", "g", "b"))
    assert result_of(evaluate_knn(FirstPixel(), dataset, PROTOCOL)) == 19 / 23


def test_a_stopped_evaluation_puts_the_mode_back(encoder, tiny_images):
    evaluating = evaluate_knn(encoder, tiny_images, PROTOCOL)
    next(evaluating)
    assert not encoder.training
    evaluating.close()
    assert encoder.training
