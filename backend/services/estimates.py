"""Estimates: steps, sizes, memory and time of a run before it is launched, and what is probably not meant."""

from collections.abc import Iterator
from statistics import median

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from backend.contracts.config import SMALL_IMAGE, ExperimentConfig
from backend.contracts.datasets import DatasetRead, DatasetStats
from backend.contracts.estimates import Advice, Estimate
from backend.contracts.fit import pretraining_images
from backend.db.models import Dataset, Run
from backend.services import datasets, workers
from backend.services.lab import Lab
from backend.services.net_size import net_size

_RUNS_LOOKED_AT = 200
_SPEEDS = 5
"""So many of the newest speeds count."""
_LARGE_BATCH, _VERY_LARGE_BATCH = 512, 4096


def estimate(lab: Lab, config: ExperimentConfig) -> Estimate:
    """What follows from a config. A dataset that is not there leaves unknown what depends on it."""
    with lab.database.read() as session:
        stats = _stats(session, config.dataset.name)
        devices = [worker.device for worker in workers.listed(lab) if worker.alive]
        speeds, device = _speeds(session, config, devices)
    images = _images(config, stats)
    batch = config.training.batch_size
    per_epoch = images // batch if images else None
    steps = per_epoch * config.training.epochs if per_epoch else None
    net = net_size(config, stats.channels if stats else 3)
    speed = median(speeds) if speeds else None
    return Estimate(
        images=images,
        steps_per_epoch=per_epoch,
        steps=steps,
        peak_learning_rate=config.peak_learning_rate,
        encoder_stem=config.encoder_stem if net else None,
        h_dim=net.h_dim if net else None,
        z_dim=net.z_dim if net else config.head.z_dim,
        encoder_parameters=net.encoder_parameters if net else None,
        head_parameters=net.head_parameters if net else None,
        views_per_step=2 * batch,
        candidates_per_anchor=2 * batch - 1,
        batch_norm=_batch_norm(config),
        pixel_bytes=images * stats.channels * _side(config, stats) ** 2 if images and stats else None,
        seconds=steps * batch / speed if steps and speed else None,
        seconds_source="measured" if steps and speed else "unknown",
        images_per_second=speed,
        measured_runs=len(speeds),
        device=device,
        advice=[Advice(field=f"config.{field}", message=message) for field, message in _advice(config, images)],
    )


def _stats(session: Session, name: str) -> DatasetStats | None:
    if name == datasets.SHAPES.name:
        return datasets.SHAPES.stats
    row = session.scalars(select(Dataset).where(Dataset.name == name)).one_or_none()
    dataset: DatasetRead | None = datasets.read_model(row) if row else None
    return dataset.stats if dataset and dataset.state == "ready" else None


def _images(config: ExperimentConfig, stats: DatasetStats | None) -> int | None:
    """Images that pretraining goes through in an epoch."""
    return pretraining_images(config, datasets.facts(config.dataset.name, stats)) if stats else None


def _side(config: ExperimentConfig, stats: DatasetStats) -> int:
    """Images lie at the size at which they were imported; rendered ones at that of the run."""
    return config.dataset.image_size if config.dataset.name == datasets.SHAPES.name else stats.image_size


def _batch_norm(config: ExperimentConfig) -> str:
    training, gpus = config.training, max(1, config.resources.gpus)
    over = f", over all {gpus} GPUs" if gpus > 1 else ""
    if training.micro_batch_size is None:
        return f"Batch statistics: {2 * training.batch_size:,} views{over}."
    if training.micro_batch_size == "auto":
        return (
            f"Batch statistics: {2 * training.batch_size:,} views{over} where they fit into memory, else those of the "
            "largest micro-batch that does."
        )
    views = 2 * training.micro_batch_size * gpus
    return (
        f"Batch statistics: {views:,} views{over}: a micro-batch; the loss and gradient are those of the whole batch "
        f"of {2 * training.batch_size:,} views."
    )


def _speeds(session: Session, config: ExperimentConfig, devices: list[str]) -> tuple[list[float], str | None]:
    """Images per second of the newest finished runs of this net at this size, on a device that a worker has."""
    newest = (
        select(Run.config, Run.summary)
        .where(Run.state == "succeeded", *_alike(config))
        .order_by(Run.created_at.desc(), Run.id.desc())
        .limit(_RUNS_LOOKED_AT)
    )
    by_device: dict[str, list[float]] = {}
    for run_config, summary in session.execute(newest):
        speed, device = summary.get("images_per_second"), str(summary.get("device", ""))
        if not speed or not any(_is_same(device, one) for one in devices):
            continue
        if _workload(ExperimentConfig.model_validate(run_config)) == _workload(config):
            by_device.setdefault(device, []).append(float(speed))
    device = max(by_device, key=lambda one: len(by_device[one]), default=None)
    return by_device[device][:_SPEEDS] if device else [], device


def _alike(config: ExperimentConfig) -> list[ColumnElement[bool]]:
    """Conditions that the database can look at; ``_workload`` decides."""
    arch, size = Run.config["encoder"]["arch"].as_string(), Run.config["dataset"]["image_size"].as_integer()
    return [arch == config.encoder.arch, size == config.dataset.image_size]


def _workload(config: ExperimentConfig) -> tuple[object, ...]:
    """What the speed of a step goes by, but for the device."""
    encoder, training = config.encoder, config.training
    net = (encoder.arch, encoder.width, config.encoder_stem, config.dataset.image_size)
    return *net, training.micro_batch_size, config.resources.gpus


def _is_same(of_run: str, of_worker: str) -> bool:
    """A run names the GPU as its worker does, and a processor with its kind and threads."""
    return of_run == of_worker or (of_worker == "CPU" and of_run.startswith("CPU"))


def _advice(config: ExperimentConfig, images: int | None) -> Iterator[tuple[str, str]]:
    batch, optimizer, loss = config.training.batch_size, config.optimizer, config.loss
    if images is not None and batch > images:
        yield "training.batch_size", f"There are only {images:,} images: no full batch, and no step, would come about."
    elif images is not None and images % batch > images / 10:
        left = images % batch
        yield "training.batch_size", f"{left:,} of {images:,} images are left out of each epoch: no full batch remains."
    if optimizer.name == "lars" and batch < _LARGE_BATCH:
        yield "optimizer.name", f"LARS is made for large batches; with {batch} images SGD does as well or better."
    if optimizer.name == "sgd" and optimizer.lr_scaling == "linear" and batch >= _VERY_LARGE_BATCH:
        yield "optimizer.name", f"SGD with linear scaling may be unstable at {batch:,} images; the paper takes LARS."
    if loss.name == "nt_xent" and loss.normalize:
        yield from _advice_on_temperature(config)
    if optimizer.warmup_epochs > config.training.epochs / 2:
        yield "optimizer.warmup_epochs", "The warm-up takes more than half of the epochs."
    if not config.augmentation.ops:
        yield "augmentation.ops", "Without a transformation both views are the same image: there is nothing to learn."


def _advice_on_temperature(config: ExperimentConfig) -> Iterator[tuple[str, str]]:
    temperature, side = config.loss.temperature, config.dataset.image_size
    if side > SMALL_IMAGE and temperature >= 0.5:
        yield "loss.temperature", f"At {temperature:g} the paper's ImageNet nets are worse than at 0.1 (Table 5)."
    if side <= SMALL_IMAGE and temperature <= 0.1 and config.training.epochs >= 300:
        yield "loss.temperature", "For CIFAR-10 trained this long the paper finds 0.5 best (B.9)."
