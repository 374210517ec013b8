"""What a config asks of its images: the field that is at fault is named before anything runs."""

import pytest

from backend.contracts.config import ExperimentConfig
from backend.contracts.fit import ImageFacts, find_misfit, pretraining_images

STL10 = ImageFacts(train=5_000, test=8_000, unlabelled=100_000, image_size=96)
LABELLED = STL10._replace(unlabelled=0)
PHOTOS = ImageFacts(train=0, test=0, unlabelled=900, image_size=96)
OFF = {"linear": False, "untrained_baseline": False, "knn_every_epochs": 0}


def config(**sections) -> ExperimentConfig:
    return ExperimentConfig.model_validate(sections)


@pytest.mark.parametrize(
    ("sections", "facts", "images"),
    [
        ({}, STL10, 5_000),
        ({"dataset": {"train_subset": 300}}, STL10, 300),
        ({"dataset": {"pretrain_on": "unlabelled"}}, STL10, 100_000),
        ({"dataset": {"pretrain_on": "unlabelled", "train_subset": 300}}, STL10, 100_000),
        ({"dataset": {"pretrain_on": "all"}}, STL10, 105_000),
        ({"dataset": {"pretrain_on": "all", "train_subset": 300}}, STL10, 100_300),
        ({"dataset": {"pretrain_on": "unlabelled"}, "evaluation": OFF}, PHOTOS, 900),
        ({"dataset": {"image_size": 96}}, STL10, 5_000),
        ({"dataset": {"image_size": 512}}, LABELLED._replace(image_size=None), 5_000),
    ],
)
def test_what_fits_and_how_many_images_an_epoch_has(sections, facts, images):
    assert find_misfit(config(**sections), facts) is None
    assert pretraining_images(config(**sections), facts) == images


@pytest.mark.parametrize(
    ("sections", "facts", "field"),
    [
        ({"dataset": {"image_size": 97}}, STL10, "dataset.image_size"),
        ({"dataset": {"pretrain_on": "unlabelled"}}, LABELLED, "dataset.pretrain_on"),
        ({"dataset": {"pretrain_on": "all"}}, LABELLED, "dataset.pretrain_on"),
        ({"dataset": {"train_subset": 5_001}}, STL10, "dataset.train_subset"),
        ({"training": {"batch_size": 5_001}}, STL10, "training.batch_size"),
        ({"training": {"batch_size": 901}, "dataset": {"pretrain_on": "unlabelled"}, "evaluation": OFF}, PHOTOS,
         "training.batch_size"),
        ({"evaluation": {"knn_neighbors": 301}, "dataset": {"train_subset": 300}}, STL10, "evaluation.knn_neighbors"),
        ({"evaluation": {"linear_sgd": {"batch_size": 5_001}}}, STL10, "evaluation.linear_sgd.batch_size"),
        ({}, STL10._replace(test=0), "dataset.name"),
        ({}, PHOTOS._replace(unlabelled=0), "dataset.name"),
        ({"evaluation": OFF}, PHOTOS, "dataset.pretrain_on"),
        ({"dataset": {"pretrain_on": "unlabelled", "train_subset": 300}, "evaluation": OFF}, PHOTOS,
         "dataset.train_subset"),
    ],
)  # fmt: skip
def test_what_does_not_fit_names_its_field(sections, facts, field):
    misfit = find_misfit(config(**sections), facts)
    assert misfit is not None
    assert misfit.field == field


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("linear", True),
        ("untrained_baseline", True),
        ("knn_every_epochs", 5),
        ("on_z", True),
        ("linear_sgd", {}),
        ("semi_supervised", {}),
        ("supervised", {}),
        ("transformations", {}),
        ("projection", {}),
    ],
)
def test_without_labels_each_evaluation_on_these_images_is_refused_by_its_name(name, value):
    asked = config(dataset={"pretrain_on": "unlabelled"}, evaluation=OFF | {name: value})
    misfit = find_misfit(asked, PHOTOS)
    assert misfit is not None
    assert misfit.field == f"evaluation.{name}"
    assert "has no labels" in misfit.message


def test_without_labels_the_encoder_can_still_be_transferred_to_images_that_have_some():
    for baseline in (False, True):
        evaluation = OFF | {"transfer": {}, "untrained_baseline": baseline}
        asked = config(dataset={"pretrain_on": "unlabelled", "name": "photos"}, evaluation=evaluation)
        assert find_misfit(asked, PHOTOS) is None
