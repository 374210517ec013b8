"""From config to science: what a run sees, what it refuses, and what a checkpoint must agree with."""

import dataclasses
from typing import get_args

import pytest
import torch

from backend.contracts.augmentation import AugmentationOp
from backend.contracts.config import ExperimentConfig
from tests.worker.conftest import tiny_config
from worker.pipeline import checks, experiment
from worker.pipeline.build import make_recipe, science_op, used_images
from worker.pipeline.checks import check_evaluation, check_fits
from worker.pipeline.errors import ConfigError
from worker.pipeline.experiment import Experiment, WrongCheckpointError
from worker.pipeline.preview import preview_views
from worker.simclr.augmentation.blur import Blur
from worker.simclr.augmentation.color import Color
from worker.simclr.augmentation.crop import Crop, Flip
from worker.simclr.data.dataset import ImageDataset, Images

CPU = torch.device("cpu")
KINDS = get_args(AugmentationOp)[0]


def make_config(**sections):
    return ExperimentConfig.model_validate(tiny_config(**sections))


@pytest.mark.parametrize("branches", ["both", "one"])
@pytest.mark.parametrize("subset", [None, 40])
def test_the_preview_shows_exactly_the_views_that_the_net_sees_at_that_step(tiny_images, branches, subset):
    config = make_config(
        dataset={"train_subset": subset, "image_size": 16},
        augmentation={"branches": branches, "ops": [{"name": name} for name in ("crop", "flip", "color", "blur")]},
        training={"epochs": 2},
    )
    experiment = Experiment(config, tiny_images, CPU)
    seen = []
    encoder = experiment.learner.model.encoder
    encoder.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0].clone()))
    for _ in experiment.pretrain():
        pass
    seen = [views for views in seen if len(views) == 2 * 16]
    for step in (0, 1, len(seen) - 1):
        views = preview_views(config, tiny_images, images=5, step=step)
        for shown, used in zip((views.first, views.second), seen[step].chunk(2), strict=True):
            assert shown.shape == (5, 3, 16, 16)
            assert torch.equal(shown, used[:5].mul(255).round().to(torch.uint8))
    originals = {pixels.numpy().tobytes() for pixels in used_images(config, tiny_images).train.pixels}
    assert {pixels.numpy().tobytes() for pixels in views.originals} <= originals
    assert not torch.equal(views.first, views.second)


def test_the_default_augmentation_is_the_papers_for_cifar_10():
    recipe = make_recipe(ExperimentConfig(), CPU)
    crop, flip, color = recipe.ops
    assert crop == Crop(probability=1.0, min_area=0.08, max_area=1.0, min_ratio=3 / 4, max_ratio=4 / 3)
    assert flip == Flip(probability=0.5)
    assert color == Color(strength=0.5, jitter_probability=0.8, grayscale_probability=0.2)
    assert not any(isinstance(op, Blur) for op in recipe.ops)
    drawn = color.draw(20_000, 32, 32, torch.Generator().manual_seed(0))
    for column, (low, high) in enumerate([(0.6, 1.4)] * 3 + [(-0.1, 0.1)]):
        assert drawn[:, column].min() == pytest.approx(low, abs=1e-3)
        assert drawn[:, column].max() == pytest.approx(high, abs=1e-3)
    assert ExperimentConfig().encoder_stem == "cifar"


def test_every_field_of_every_augmentation_reaches_the_science():
    ops = [
        {"name": "crop", "probability": 0.9, "min_area": 0.2, "max_area": 0.7, "min_ratio": 0.5, "max_ratio": 2},
        {"name": "flip", "probability": 0.1},
        {"name": "color", "strength": 1, "jitter_probability": 0.3, "grayscale_probability": 0.4},
        {"name": "blur", "probability": 0.6, "min_sigma": 0.3, "max_sigma": 1.5},
        {"name": "jitter", "probability": 0.1, "strength": 1, "brightness": 0, "contrast": 0.1}
        | {"saturation": 0.2, "hue": 0.3},
        {"name": "grayscale", "probability": 0.3},
        {"name": "cutout", "probability": 0.2, "min_size": 0.1, "max_size": 0.2, "fill": 0},
        {"name": "rotate", "probability": 0.2},
        {"name": "noise", "probability": 0.2, "min_sigma": 0.1, "max_sigma": 0.3},
        {"name": "sobel", "probability": 0.2},
        {"name": "equalize", "probability": 0.3},
        {"name": "solarize", "probability": 0.1, "threshold": 0.3},
        {"name": "motion_blur", "probability": 0.2, "min_length": 0.1, "max_length": 0.2},
        {"name": "autoaugment", "probability": 0.2, "policy": "cifar10"},
    ]
    assert {op["name"] for op in ops} == {kind.model_fields["name"].default for kind in get_args(KINDS)}
    config = make_config(augmentation={"ops": ops}, dataset={"image_size": 16})
    for given, made in zip(ops, map(science_op, config.augmentation.ops), strict=True):
        assert type(made).__name__.lower() == given["name"].replace("_", "")
        assert dataclasses.asdict(made) == {field: value for field, value in given.items() if field != "name"}


def test_defaults_of_augmentations_are_the_same_in_config_and_science():
    for kind in get_args(KINDS):
        made = science_op(kind())
        assert made == type(made)()


def test_operations_on_colours_are_refused_for_images_of_other_channels_by_name(tiny_images):
    grey = Images(tiny_images.train.pixels[:, :1], tiny_images.train.labels)
    dataset = ImageDataset(grey, tiny_images.test, tiny_images.classes)
    for name, shown in (("color", "color 0.5"), ("jitter", "jitter 0.5"), ("autoaugment", "autoaugment imagenet")):
        config = make_config(augmentation={"ops": [{"name": "crop"}, {"name": name}]})
        with pytest.raises(ConfigError, match=rf"^augmentation\.ops: {shown} is for .* these have 1\.") as caught:
            check_fits(config, dataset, CPU)
        assert caught.value.field == "augmentation.ops"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"training": {"batch_size": 65}}, "training.batch_size"),
        ({"dataset": {"train_subset": 65}}, "dataset.train_subset"),
        ({"evaluation": {"knn_neighbors": 65}}, "evaluation.knn_neighbors"),
        ({"resources": {"gpus": 1}}, "resources.gpus"),
        ({"evaluation": {"linear_sgd": {"batch_size": 65}}}, "evaluation.linear_sgd.batch_size"),
        ({"evaluation": {"semi_supervised": {}}}, "evaluation.semi_supervised.label_shares"),  # 1% of 64
        ({"evaluation": {"transfer": {"datasets": ["absent"]}}}, "evaluation.transfer.datasets"),
    ],
)
def test_a_config_that_does_not_fit_the_images_or_the_machine_is_refused_by_field(tiny_images, change, field):
    with pytest.raises(ConfigError, match=f"^{field}: ") as caught:
        Experiment(make_config(**change), tiny_images, CPU)
    assert caught.value.field == field


def test_images_that_cannot_be_evaluated_are_refused(tiny_images):
    nothing = Images(tiny_images.test.pixels[:0], tiny_images.test.labels[:0])
    with pytest.raises(ConfigError, match=r"^dataset\.name: "):
        check_fits(make_config(), ImageDataset(tiny_images.train, nothing, tiny_images.classes), CPU)


def test_images_of_one_class_cannot_be_evaluated(tiny_images):
    dataset = ImageDataset(tiny_images.train, tiny_images.test, ("all",))
    with pytest.raises(ConfigError, match=r"^dataset\.name: .*two classes"):
        Experiment(make_config(), dataset, CPU)


def test_a_map_by_umap_is_refused_where_umap_is_not_installed(tiny_images, monkeypatch):
    config = make_config(evaluation={"projection": {"method": "umap"}})
    monkeypatch.setattr(checks, "find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r"^evaluation\.projection\.method: .*umap-learn"):
        Experiment(config, tiny_images, CPU)


def test_colour_or_grey_is_no_question_for_images_without_colours(tiny_images):
    grey = ImageDataset(
        Images(tiny_images.train.pixels[:, :1], tiny_images.train.labels), tiny_images.test, tiny_images.classes
    )
    with pytest.raises(ConfigError, match=r"^evaluation\.transformations\.tasks: 'color' needs 3 channels"):
        check_evaluation(make_config(evaluation={"transformations": {}}), grey, {})
    check_evaluation(make_config(evaluation={"transformations": {"tasks": ["rotation", "sobel"]}}), grey, {})


def test_images_without_labels_need_no_more_than_what_they_are_transferred_to(tiny_images):
    config = make_config(evaluation={"transfer": {"datasets": ["other"]}})
    nothing = Images(tiny_images.train.pixels[:0], tiny_images.train.labels[:0])
    unlabelled = ImageDataset(nothing, nothing, ())
    check_evaluation(config, unlabelled, {"other": tiny_images})
    with pytest.raises(ConfigError, match=r"^evaluation\.transfer\.datasets"):
        check_evaluation(config, unlabelled, {})


def test_transfer_to_images_that_do_not_fit_the_encoder_is_refused(tiny_images):
    config = make_config(evaluation={"transfer": {"datasets": ["other"]}})
    grey = ImageDataset(
        Images(tiny_images.train.pixels[:, :1], tiny_images.train.labels), tiny_images.test, tiny_images.classes
    )
    untold = ImageDataset(tiny_images.train, tiny_images.test, ("all",))
    for other in (grey, untold):
        with pytest.raises(ConfigError, match=r"^evaluation\.transfer\.datasets: 'other' has"):
            Experiment(config, tiny_images, CPU, transfer={"other": (other, "b")})
    Experiment(config, tiny_images, CPU, transfer={"other": (tiny_images, "b")})


def test_a_checkpoint_goes_on_with_another_evaluation_and_on_other_resources(tiny_images, monkeypatch):
    trained = Experiment(make_config(), tiny_images, CPU, identity="a")
    next(trained.pretrain())
    further = make_config(evaluation={"linear_sgd": {"batch_size": 16}, "knn_every_epochs": 0})
    again = Experiment(further, tiny_images, CPU, identity="a")
    again.load_state_dict(trained.state_dict())
    assert again.step == 1
    with_gpu = make_config(resources={"gpus": 1})
    monkeypatch.setattr(experiment, "check_fits", lambda *_, **__: None)  # there is no GPU here
    Experiment(with_gpu, tiny_images, CPU, identity="a").load_state_dict(trained.state_dict())


def test_a_checkpoint_of_another_config_or_of_other_images_is_refused(tiny_images):
    state = Experiment(make_config(), tiny_images, CPU, identity="a").state_dict()
    for config, identity in (
        (make_config(), "b"),
        (make_config(loss={"temperature": 0.4}), "a"),
        (make_config(augmentation={"ops": [{"name": "crop"}]}), "a"),
    ):
        with pytest.raises(WrongCheckpointError):
            Experiment(config, tiny_images, CPU, identity=identity).load_state_dict(state)
    Experiment(make_config(), tiny_images, CPU, identity="a").load_state_dict(state)
