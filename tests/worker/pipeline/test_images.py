"""Which images a run draws from, of any number of channels, and what remains of it where they have no labels."""

import dataclasses

import pytest
import torch

from backend.contracts.config import ExperimentConfig
from tests.worker.conftest import result_of, tiny_config
from worker.pipeline.build import pretraining_pixels, used_images
from worker.pipeline.errors import ConfigError
from worker.pipeline.evaluations import planned
from worker.pipeline.experiment import Experiment
from worker.pipeline.picture import png
from worker.pipeline.preview import preview_views
from worker.simclr.data.dataset import ImageDataset, Images
from worker.simclr.training.batches import BatchOrder

CPU = torch.device("cpu")
NO_EVALUATION = {"linear": False, "untrained_baseline": False, "knn_every_epochs": 0}


def make_config(**sections):
    return ExperimentConfig.model_validate(tiny_config(**sections))


@pytest.fixture
def with_unlabelled(tiny_images) -> ImageDataset:
    pixels = torch.randint(256, (40, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return dataclasses.replace(tiny_images, unlabelled=pixels)


@pytest.fixture
def only_unlabelled(with_unlabelled) -> ImageDataset:
    nothing = Images(torch.zeros(0, 3, 8, 8, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64))
    return ImageDataset(nothing, nothing, (), with_unlabelled.unlabelled)


@pytest.mark.parametrize("subset", [None, 20])
@pytest.mark.parametrize("wanted", ["train", "unlabelled", "all"])
def test_pretraining_draws_from_the_images_that_the_config_names(with_unlabelled, wanted, subset):
    config = make_config(dataset={"pretrain_on": wanted, "train_subset": subset})
    used = used_images(config, with_unlabelled)
    train = used.train.pixels[:]
    expected = {
        "train": train,
        "unlabelled": with_unlabelled.unlabelled,
        "all": torch.cat([train, with_unlabelled.unlabelled]),
    }[wanted]
    assert len(train) == (subset or 64)
    assert torch.equal(pretraining_pixels(config, used)[:], expected)
    experiment = Experiment(config, with_unlabelled, CPU)
    assert experiment.steps_per_epoch == len(expected) // 16
    shown = preview_views(config, with_unlabelled, images=16, step=0)
    drawn = BatchOrder(len(expected), 16, 0).batch(0)
    assert torch.equal(shown.originals, expected[drawn])
    assert torch.equal(shown.labels >= 0, drawn < {"train": 999, "unlabelled": 0, "all": len(train)}[wanted])


def test_a_subset_of_the_images_is_not_copied(tiny_images):
    used = used_images(make_config(dataset={"train_subset": 20}), tiny_images)
    assert used.train.pixels.parts[0].data_ptr() == tiny_images.train.pixels.data_ptr()
    assert len(used.train) == 20
    found = {image.numpy().tobytes(): int(label) for image, label in zip(*vars(used.train).values(), strict=True)}
    every = zip(tiny_images.train.pixels, tiny_images.train.labels, strict=True)
    assert found.items() <= {image.numpy().tobytes(): int(label) for image, label in every}.items()


@pytest.mark.parametrize("wanted", ["unlabelled", "all"])
def test_pretraining_on_images_without_labels_needs_some(tiny_images, wanted):
    with pytest.raises(ConfigError, match="no images without labels") as caught:
        Experiment(make_config(dataset={"pretrain_on": wanted}), tiny_images, CPU)
    assert caught.value.field == "dataset.pretrain_on"


def test_a_dataset_without_labels_is_pretrained_on_and_evaluated_on_others_only(only_unlabelled, tiny_images):
    sections = {"dataset": {"pretrain_on": "unlabelled"}, "training": {"epochs": 1}}
    experiment = Experiment(make_config(evaluation=NO_EVALUATION, **sections), only_unlabelled, CPU)
    assert len(list(experiment.pretrain())) == 2
    assert planned(experiment) == []
    facts = experiment.facts
    assert facts["loss"] > 0
    assert (facts["pretraining_images"], facts["train_images"], facts["test_images"]) == (40, 0, 0)
    config = make_config(evaluation=NO_EVALUATION | {"transfer": {"datasets": ["other"]}}, **sections)
    experiment = Experiment(config, only_unlabelled, CPU, transfer={"other": (tiny_images, "b")})
    (transfer,) = planned(experiment)
    assert 0 < result_of(transfer.measure()).summary["transfer_other_linear_top1"] <= 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({}, "evaluation.linear"),
        ({"linear": False}, "evaluation.untrained_baseline"),
        ({"linear": False, "untrained_baseline": False}, "evaluation.knn_every_epochs"),
    ],
)
def test_missing_labels_are_told_before_anything_runs(only_unlabelled, change, field):
    with pytest.raises(ConfigError, match="has no labels") as caught:
        Experiment(make_config(dataset={"pretrain_on": "unlabelled"}, evaluation=change), only_unlabelled, CPU)
    assert caught.value.field == field


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_images_of_any_number_of_channels_are_trained_on_and_evaluated(tiny_images, channels):
    def with_channels(images: Images) -> Images:
        return Images(images.pixels[:, [number % 3 for number in range(channels)]], images.labels)

    dataset = ImageDataset(with_channels(tiny_images.train), with_channels(tiny_images.test), tiny_images.classes)
    config = make_config(
        augmentation={"ops": [{"name": name} for name in ("crop", "flip", "noise")]},
        training={"epochs": 1},
        evaluation={"projection": {"images": 20}},
    )
    experiment = Experiment(config, dataset, CPU)
    assert len(list(experiment.pretrain())) == 4
    found = {evaluation.name: result_of(evaluation.measure()) for evaluation in planned(experiment)}
    assert 0 < found["untrained"].summary["untrained_linear_top1"] <= 1
    assert found["projection"].files["projection.png"].startswith(b"\x89PNG")
    views = preview_views(config, dataset, images=2, step=0)
    assert views.first.shape == (2, channels, 8, 8)
    assert png(views.first[0]).startswith(b"\x89PNG")
