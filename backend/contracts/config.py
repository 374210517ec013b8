"""The experiment config: one typed tree from which a run is made, with the paper's values as defaults.

Every number has bounds and a unit, unknown fields are refused, and ``{"dataset": {"name": "shapes"}}`` is a
complete config. Derived values (the learning rate after scaling, steps per epoch) are properties: computed in
one place and never stored.
"""

import math
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Section(BaseModel):
    """A part of the config: refuses unknown fields, NaN and infinity, and cannot be changed after construction."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, str_strip_whitespace=True)


DatasetName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class DatasetConfig(Section):
    """Which images, at which size, and how many of them."""

    name: DatasetName = Field(
        default="shapes", description="'shapes', 'cifar10', 'cifar100' or a dataset you imported."
    )
    image_size: int = Field(
        default=32, ge=8, le=512, description="Side of the square images the encoder sees, in pixels."
    )
    train_subset: int | None = Field(
        default=None,
        ge=2,
        le=100_000_000,
        description="Use only this many training images (chosen by the seed). Empty: all.",
    )


Probability = Annotated[float, Field(ge=0, le=1)]


class CropOp(Section):
    """Random resized crop (appendix A): area and aspect ratio drawn per image, resized back to ``image_size``."""

    name: Literal["crop"] = "crop"
    probability: Probability = Field(default=1.0, description="Share of views it is applied to.")
    min_area: float = Field(default=0.08, ge=0.01, le=1, description="Smallest crop, as a share of the image's area.")
    max_area: float = Field(default=1.0, ge=0.01, le=1, description="Largest crop, as a share of the image's area.")
    min_ratio: float = Field(default=3 / 4, ge=0.1, le=10, description="Smallest width / height of the crop.")
    max_ratio: float = Field(default=4 / 3, ge=0.1, le=10, description="Largest width / height of the crop.")

    @model_validator(mode="after")
    def _ranges_are_ordered(self) -> Self:
        if self.min_area > self.max_area:
            raise ValueError("min_area must not exceed max_area")
        if self.min_ratio > self.max_ratio:
            raise ValueError("min_ratio must not exceed max_ratio")
        return self


class FlipOp(Section):
    """Horizontal flip."""

    name: Literal["flip"] = "flip"
    probability: Probability = Field(default=0.5, description="Share of views that are flipped.")


class ColorOp(Section):
    """Colour distortion of strength s (appendix A): jitter (0.8s, 0.8s, 0.8s, 0.2s), then grey-scale drop."""

    name: Literal["color"] = "color"
    strength: float = Field(default=0.5, ge=0, le=2, description="Strength s: 1 for ImageNet, 0.5 for CIFAR-10 (B.9).")
    jitter_probability: Probability = Field(default=0.8, description="Share of views whose colours are jittered.")
    grayscale_probability: Probability = Field(default=0.2, description="Share of views turned to grey.")


class BlurOp(Section):
    """Gaussian blur (appendix A): sigma drawn per image, kernel about 10% of the image's side."""

    name: Literal["blur"] = "blur"
    probability: Probability = Field(default=0.5, description="Share of views that are blurred.")
    min_sigma: float = Field(default=0.1, gt=0, le=10, description="Smallest standard deviation, in pixels.")
    max_sigma: float = Field(default=2.0, gt=0, le=10, description="Largest standard deviation, in pixels.")

    @model_validator(mode="after")
    def _range_is_ordered(self) -> Self:
        if self.min_sigma > self.max_sigma:
            raise ValueError("min_sigma must not exceed max_sigma")
        return self


AugmentationOp = Annotated[CropOp | FlipOp | ColorOp | BlurOp, Field(discriminator="name")]


class AugmentationConfig(Section):
    """The transformations that make a view, in the order in which they are applied."""

    ops: tuple[AugmentationOp, ...] = Field(
        default=(CropOp(), FlipOp(), ColorOp()),
        max_length=16,
        description="Ordered list of transformations. The default is the paper's for CIFAR-10: crop, flip, colour 0.5.",
    )
    branches: Literal["both", "one"] = Field(
        default="both",
        description="'both': each view is transformed. 'one': the second view is only cropped (Figure 5).",
    )

    @property
    def label(self) -> str:
        """The composition in a few words, such as ``crop + flip + color 0.5``; ``none`` where the list is empty."""
        names = [f"color {op.strength:g}" if isinstance(op, ColorOp) else op.name for op in self.ops]
        return " + ".join(names) or "none"


class EncoderConfig(Section):
    """The base encoder f, a ResNet; h = f(x) is its output after average pooling."""

    arch: Literal["resnet18", "resnet34", "resnet50"] = Field(default="resnet18", description="Which ResNet.")
    width: float = Field(default=1.0, ge=0.0625, le=4, description="Channel multiplier: 1 is standard, 0.25 a quarter.")
    stem: Literal["cifar", "imagenet", "stride2"] = Field(
        default="cifar",
        description="First layers. 'cifar': 3x3 stride 1, no pooling (B.9). 'imagenet': 7x7 stride 2 and max-pool. "
        "'stride2': 3x3 stride 2, no pooling: four times cheaper than 'cifar'.",
    )


class HeadConfig(Section):
    """The projection head g: z = g(h). Used for the loss only; evaluation uses h."""

    kind: Literal["nonlinear", "linear", "none"] = Field(
        default="nonlinear", description="'nonlinear': one hidden layer."
    )
    hidden_dim: int | None = Field(
        default=None, ge=1, le=8192, description="Width of the hidden layer. Empty: that of h."
    )
    output_dim: int = Field(default=128, ge=1, le=8192, description="Dimension of z.")


class LossConfig(Section):
    """The contrastive loss over the 2N views of a batch."""

    name: Literal["nt_xent"] = Field(default="nt_xent", description="NT-Xent (equation 1).")
    temperature: float = Field(
        default=0.5, ge=0.01, le=100, description="Temperature: 0.5 for CIFAR-10, 0.1 for ImageNet."
    )


class OptimizerConfig(Section):
    """Optimiser and learning-rate schedule: linear warm-up by step, then cosine decay to 0."""

    name: Literal["lars", "sgd", "adamw"] = Field(default="sgd", description="LARS suits batches of 1024 and more.")
    learning_rate: float = Field(
        default=0.3, gt=0, le=1000, description="Base learning rate, before scaling by batch size."
    )
    lr_scaling: Literal["linear", "sqrt", "none"] = Field(
        default="linear",
        description="'linear': rate x batch/256. 'sqrt': rate x sqrt(batch)/4, equal to linear at 4096 "
        "(0.3 gives the paper's 0.075 x sqrt(batch)). 'none': the rate as it stands.",
    )
    weight_decay: float = Field(
        default=1e-4, ge=0, le=1, description="Weight decay; biases and batch norm are left out."
    )
    momentum: float = Field(default=0.9, ge=0, lt=1, description="Momentum of LARS and SGD; the first beta of AdamW.")
    warmup_epochs: float = Field(default=1.0, ge=0, le=10_000, description="Length of the linear warm-up, in epochs.")


class TrainingConfig(Section):
    """How long, in which batches, and from which seed."""

    epochs: int = Field(default=30, ge=1, le=100_000, description="Passes over the training images.")
    batch_size: int = Field(default=256, ge=2, le=65_536, description="Images a step (each gives two views).")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto", description="'auto': bf16 where the processor is fast."
    )
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="Every random number of the run follows from it.")
    checkpoint_every_epochs: int = Field(default=5, ge=1, le=100_000, description="Epochs between two checkpoints.")


class EvaluationConfig(Section):
    """What is measured on the frozen representation h."""

    knn_every_epochs: int = Field(
        default=5, ge=0, le=100_000, description="Epochs between kNN accuracies. 0: only at the end."
    )
    knn_neighbors: int = Field(default=200, ge=1, le=10_000, description="Neighbours that vote in the kNN accuracy.")
    linear: bool = Field(default=True, description="Linear evaluation at the end (L-BFGS logistic regression on h).")
    untrained_baseline: bool = Field(default=True, description="Evaluate the untrained encoder in the same way too.")


class ResourcesConfig(Section):
    """What the run asks of a worker."""

    gpus: int = Field(
        default=0, ge=0, le=1, description="GPUs the run needs. 0: a GPU if the worker has one, else the CPU."
    )


class ExperimentConfig(Section):
    """A SimCLR experiment: pretraining and evaluation."""

    dataset: DatasetConfig = DatasetConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    encoder: EncoderConfig = EncoderConfig()
    head: HeadConfig = HeadConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    resources: ResourcesConfig = ResourcesConfig()

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        subset = self.dataset.train_subset
        if subset is not None and self.training.batch_size > subset:
            raise ValueError(
                f"training.batch_size is {self.training.batch_size}, more than dataset.train_subset ({subset}): "
                "no full batch would remain. Lower the batch size or raise the subset."
            )
        if self.optimizer.warmup_epochs > self.training.epochs:
            raise ValueError(
                f"optimizer.warmup_epochs is {self.optimizer.warmup_epochs:g}, longer than training.epochs "
                f"({self.training.epochs}): the learning rate would never reach its peak."
            )
        if self.head.kind != "nonlinear" and self.head.hidden_dim is not None:
            raise ValueError(f"head.hidden_dim has no meaning with head.kind '{self.head.kind}': leave it empty.")
        return self

    @property
    def peak_learning_rate(self) -> float:
        """The learning rate after warm-up (section 2.2 and appendix B.1 of the paper)."""
        rate, batch = self.optimizer.learning_rate, self.training.batch_size
        match self.optimizer.lr_scaling:
            case "linear":
                return rate * batch / 256
            case "sqrt":
                return rate * math.sqrt(batch) / 4
            case "none":
                return rate
