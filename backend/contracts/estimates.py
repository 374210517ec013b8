"""Estimates: what follows from a config before anything runs."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from backend.contracts.config import ExperimentConfig


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid")


class EstimateRequest(_Message):
    """For which config."""

    config: ExperimentConfig = Field(default_factory=ExperimentConfig)


class Advice(_Message):
    """A setting that is allowed but probably not meant; ``field`` is a dotted path such as ``config.loss.temperature``."""

    field: str
    message: str


class Estimate(_Message):
    """Derived values. None: not known, as the images are not there or the net is none of ours."""

    images: int | None = Field(description="Images that an epoch goes through.")
    steps_per_epoch: int | None = Field(description="Full batches an epoch; the rest of the images waits.")
    steps: int | None
    peak_learning_rate: float = Field(description="After warm-up and scaling by batch size.")
    encoder_stem: Literal["cifar", "imagenet", "stride2"] | None
    h_dim: int | None = Field(description="Dimension of h, which is evaluated.")
    z_dim: int | None = Field(description="Dimension of z, on which the loss is.")
    encoder_parameters: int | None
    head_parameters: int | None
    views_per_step: int
    candidates_per_anchor: int = Field(description="Views that each view is compared with: its positive and negatives.")
    batch_norm: str = Field(description="What batch statistics are taken over, in a sentence.")
    pixel_bytes: int | None = Field(description="Memory of the training images on the device, as uint8.")
    seconds: float | None = Field(description="Time for pretraining, from the measured speed.")
    seconds_source: Literal["measured", "unknown"]
    images_per_second: float | None = Field(description="Median over earlier runs of this net at this size.")
    measured_runs: int = Field(description="How many earlier runs that is from.")
    device: str | None = Field(description="The device on which they ran: that of a worker that is alive.")
    advice: list[Advice]
