"""Linear evaluation by SGD: the net stays frozen, and every classifier is what it would be alone."""

import pytest
import torch

from tests.worker.conftest import result_of
from worker.simclr.augmentation.views import one_view
from worker.simclr.evaluation.features import state_sha256
from worker.simclr.evaluation.linear_sgd import train_probes
from worker.simclr.evaluation.supervised import CROP_AND_FLIP, SupervisedRecipe
from worker.simclr.nets.model import Architecture, build_model
from worker.simclr.training.batches import BatchOrder

RECIPE = SupervisedRecipe(
    name="the test",
    ops=CROP_AND_FLIP,
    image_size=8,
    epochs=2,
    batch_size=16,
    base_learning_rate=1.6,
    weight_decay=0.0,
    precision="fp32",
    seed=5,
)


@pytest.fixture
def model():
    architecture = Architecture(arch="resnet18", width=0.0625, stem="stride2", output_dim=16)
    return build_model(architecture, 0, torch.device("cpu")).train()


def test_neither_weights_nor_batch_norm_statistics_of_the_net_change(model, tiny_images):
    model(torch.rand(4, 3, 8, 8))
    before = state_sha256(model)
    result_of(train_probes(model, tiny_images.train, ("h", "z"), RECIPE, classes=3))
    assert state_sha256(model) == before
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_classifier_is_the_one_that_sgd_finds_on_frozen_features_of_the_same_crops(model, tiny_images):
    probes = result_of(train_probes(model, tiny_images.train, ("h", "z"), RECIPE, classes=3))
    model.eval()
    weight, bias = torch.zeros(3, 32, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    momentum = [torch.zeros_like(weight), torch.zeros_like(bias)]
    images = tiny_images.train
    order = BatchOrder(64, 16, RECIPE.seed)
    for step in range(8):
        batch = order.batch(step)
        views = one_view(images.pixels[batch], CROP_AND_FLIP, image_size=8, seed=RECIPE.seed, step=step)
        with torch.no_grad():
            h = model.encoder(views).double()
        wrong = torch.softmax(h @ weight.T + bias, 1) - torch.nn.functional.one_hot(images.labels[batch], 3)
        rate = 1.6 * 16 / 256 * 0.5 * (1 + torch.cos(torch.tensor(torch.pi * step / 8, dtype=torch.float64)))
        for parameter, v, gradient in zip((weight, bias), momentum, (wrong.T @ h / 16, wrong.mean(0)), strict=True):
            v.mul_(0.9).add_(gradient)
            parameter.sub_(rate * (gradient + 0.9 * v))
    torch.testing.assert_close(probes["h"].weight.double(), weight, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(probes["h"].bias.double(), bias, atol=1e-4, rtol=1e-3)
    assert probes["z"].weight.shape == (3, 16)


def test_a_classifier_beside_another_is_the_same_as_alone(model, tiny_images):
    both = result_of(train_probes(model, tiny_images.train, ("h", "z"), RECIPE, classes=3))
    for space in ("h", "z"):
        alone = result_of(train_probes(model, tiny_images.train, (space,), RECIPE, classes=3))
        torch.testing.assert_close(both[space].weight, alone[space].weight)
