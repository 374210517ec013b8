"""What a config asks of its images: told by the backend when a run is launched, and by the worker before it begins."""

from typing import NamedTuple

from backend.contracts.config import ExperimentConfig


class ImageFacts(NamedTuple):
    """What a dataset holds: images of each kind, and the side of an image in pixels (None: any)."""

    train: int
    test: int
    unlabelled: int
    image_size: int | None


class Misfit(NamedTuple):
    """The field of the config that cannot be had with these images, as a dotted path, and why."""

    field: str
    message: str


def pretraining_images(config: ExperimentConfig, facts: ImageFacts) -> int:
    """How many images an epoch of pretraining goes through."""
    labelled = min(facts.train, config.dataset.train_subset or facts.train)
    return {"train": labelled, "unlabelled": facts.unlabelled, "all": labelled + facts.unlabelled}[
        config.dataset.pretrain_on
    ]


def find_misfit(config: ExperimentConfig, facts: ImageFacts) -> Misfit | None:
    """The first thing that these images do not allow, None where the run can begin."""
    name = config.dataset.name
    if facts.image_size is not None and config.dataset.image_size > facts.image_size:
        return Misfit(
            "dataset.image_size",
            f"is {config.dataset.image_size}, but '{name}' was imported at {facts.image_size} pixels: lower it, or "
            "import the images larger.",
        )
    if facts.train == 0:
        return _without_labels(config, facts)
    if facts.test == 0:
        return Misfit("dataset.name", f"'{name}' has no test image to evaluate on.")
    if config.dataset.pretrain_on != "train" and facts.unlabelled == 0:
        return Misfit("dataset.pretrain_on", f"'{name}' has no images without labels: choose 'train'.")
    subset = config.dataset.train_subset
    if subset is not None and subset > facts.train:
        return Misfit("dataset.train_subset", f"is {subset}, but '{name}' has only {facts.train} training images.")
    labelled = subset or facts.train
    if config.evaluation.knn_neighbors > labelled:
        return Misfit(
            "evaluation.knn_neighbors",
            f"is {config.evaluation.knn_neighbors}, more than the {labelled} training images of '{name}'.",
        )
    probe = config.evaluation.linear_sgd
    if probe is not None and probe.batch_size > labelled:
        return Misfit(
            "evaluation.linear_sgd.batch_size",
            f"is {probe.batch_size}, more than the {labelled} training images of '{name}'.",
        )
    return _too_large_a_batch(config, facts)


def _without_labels(config: ExperimentConfig, facts: ImageFacts) -> Misfit | None:
    """A dataset of nothing but unlabelled images: pretraining only, and transfer, whose images are others."""
    name = config.dataset.name
    if facts.unlabelled == 0:
        return Misfit("dataset.name", f"'{name}' has no image.")
    if config.dataset.pretrain_on != "unlabelled":
        return Misfit("dataset.pretrain_on", f"'{name}' has only images without labels: choose 'unlabelled'.")
    if config.dataset.train_subset is not None:
        return Misfit(
            "dataset.train_subset", f"'{name}' has no labelled training images to choose from: leave it empty."
        )
    evaluation = config.evaluation
    wanted = {
        "linear": evaluation.linear,
        "untrained_baseline": evaluation.untrained_baseline and evaluation.transfer is None,
        "knn_every_epochs": evaluation.knn_every_epochs > 0,
        "on_z": evaluation.on_z,
        "linear_sgd": evaluation.linear_sgd is not None,
        "semi_supervised": evaluation.semi_supervised is not None,
        "supervised": evaluation.supervised is not None,
        "transformations": evaluation.transformations is not None,
        "projection": evaluation.projection is not None,
    }
    fields = [field for field, is_wanted in wanted.items() if is_wanted]
    if fields:
        return Misfit(
            f"evaluation.{fields[0]}",
            f"'{name}' has no labels, so it cannot be evaluated: switch off {', '.join(fields)} (knn_every_epochs: 0).",
        )
    return _too_large_a_batch(config, facts)


def _too_large_a_batch(config: ExperimentConfig, facts: ImageFacts) -> Misfit | None:
    images, batch = pretraining_images(config, facts), config.training.batch_size
    if batch <= images:
        return None
    kind = {"train": "training images", "unlabelled": "images without labels", "all": "images"}
    return Misfit(
        "training.batch_size",
        f"is {batch}, more than the {images} {kind[config.dataset.pretrain_on]} of '{config.dataset.name}'.",
    )
