"""The experiment config: one typed tree from which a run is made, with the paper's values as defaults.

Every number has bounds and a unit, unknown fields are refused, and ``{"dataset": {"name": "shapes"}}`` is a
complete config. Derived values (the learning rate after scaling, steps per epoch) are properties: computed in
one place and never stored. What only the images can tell (classes, channels, how many) is checked by the worker.
"""

import math
import re
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from backend.contracts.augmentation import AugmentationConfig, BlurOp
from backend.contracts.evaluation import EvaluationConfig
from backend.contracts.section import DatasetName, Section

SMALL_IMAGE = 64
"""Up to this side, in pixels, the stem 'auto' is 'cifar'."""
DEFAULT_OUTPUT_DIM = 128
RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")


class DatasetConfig(Section):
    """Which images, at which size, and how many of them."""

    name: DatasetName = Field(
        default="shapes",
        description="'shapes', or a dataset that was imported: your own, or a known one such as 'cifar10' or 'stl10'.",
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
    pretrain_on: Literal["train", "unlabelled", "all"] = Field(
        default="train",
        description="'train': the labelled training images. 'unlabelled': the images without labels (STL-10, or a "
        "folder 'unlabelled'). 'all': both. Evaluation uses the labelled ones.",
    )


def _known_arch(arch: str) -> str:
    if arch not in RESNETS and not re.fullmatch(r"timm:[A-Za-z0-9_.]+", arch):
        raise ValueError(f"'{arch}' is no encoder: choose {', '.join(RESNETS)} or 'timm:NAME' for a net of timm")
    return arch


class EncoderConfig(Section):
    """The base encoder f; h = f(x) is its output after average pooling."""

    arch: Annotated[str, AfterValidator(_known_arch)] = Field(
        default="resnet18",
        max_length=100,
        examples=list(RESNETS),
        description="Which ResNet, or 'timm:NAME' for a net of the timm library.",
    )
    width: float = Field(default=1.0, ge=0.0625, le=4, description="Channel multiplier: 1 is standard, 0.25 a quarter.")
    stem: Literal["auto", "cifar", "imagenet", "stride2"] = Field(
        default="auto",
        description="First layers. 'auto': 'cifar' for images of up to 64 pixels, else 'imagenet'. "
        "'cifar': 3x3 stride 1, no pooling (B.9). 'imagenet': 7x7 stride 2 and max-pool. "
        "'stride2': 3x3 stride 2, no pooling: four times cheaper than 'cifar'.",
    )
    zero_init_residual: bool = Field(
        default=False,
        description="Start every residual block as the identity (last batch norm at zero), as the authors' code does.",
    )


class HeadConfig(Section):
    """The projection head g: z = g(h). Used for the loss only; evaluation uses h."""

    kind: Literal["nonlinear", "linear", "none"] = Field(
        default="nonlinear", description="'nonlinear': an MLP with hidden layers. 'none': z is h."
    )
    hidden_layers: int = Field(
        default=1, ge=1, le=3, description="Hidden layers of 'nonlinear': 1 in the paper, 2 in SimCLR v2."
    )
    hidden_dim: int | None = Field(
        default=None, ge=1, le=8192, description="Width of the hidden layers. Empty: that of h."
    )
    output_dim: int | None = Field(default=None, ge=1, le=8192, description="Dimension of z. Empty: 128.")
    batch_norm: Literal["hidden", "all", "none"] = Field(
        default="hidden",
        description="Batch norm 'hidden': after each hidden layer. 'all': after the last layer too, as the authors' "
        "code does. 'none': nowhere (layers then have biases).",
    )

    @property
    def z_dim(self) -> int | None:
        """Dimension of z; None where z is h."""
        return None if self.kind == "none" else self.output_dim or DEFAULT_OUTPUT_DIM


class LossConfig(Section):
    """The contrastive loss over the 2N views of a batch (Table 2)."""

    name: Literal["nt_xent", "nt_logistic", "margin_triplet"] = Field(
        default="nt_xent", description="NT-Xent (equation 1), NT-Logistic or margin triplet (Table 2)."
    )
    temperature: float = Field(
        default=0.5,
        ge=0.01,
        le=100,
        description="Temperature of NT-Xent and NT-Logistic: 0.5 for CIFAR-10, 0.1 for ImageNet.",
    )
    margin: float = Field(default=0.8, ge=0, le=1000, description="Margin of the margin triplet loss.")
    semi_hard: bool = Field(
        default=False, description="Semi-hard negative mining, for NT-Logistic and margin triplet (Table 4)."
    )
    normalize: bool = Field(
        default=True, description="Similarity is the cosine (z scaled to length 1), else the dot product (Table 5)."
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
    nesterov: bool = Field(default=False, description="Nesterov momentum, for SGD.")
    warmup_epochs: float = Field(default=1.0, ge=0, le=10_000, description="Length of the linear warm-up, in epochs.")


def _size_or_auto(value: object, validate: ValidatorFunctionWrapHandler) -> int | Literal["auto"] | None:
    """One message instead of one for each of the alternatives."""
    try:
        return validate(value)
    except ValidationError as error:
        raise ValueError("Give a number of images from 1 to 65,536, or 'auto'.") from error


MicroBatchSize = Annotated[
    Annotated[int, Field(ge=1, le=65_536)] | Literal["auto"] | None, WrapValidator(_size_or_auto)
]


class TrainingConfig(Section):
    """How long, in which batches, and from which seed."""

    epochs: int = Field(default=30, ge=1, le=100_000, description="Passes over the training images.")
    batch_size: int = Field(
        default=256, ge=2, le=65_536, description="Images a step (each gives two views), over all GPUs together."
    )
    micro_batch_size: MicroBatchSize = Field(
        default=None,
        description="Pass so many images at once through the net, with the loss and gradient of the whole batch "
        "(gradient caching): less memory, about a third more time. Batch norm sees a micro-batch. 'auto': the largest "
        "that fits into memory, found by trying. Empty: the whole batch.",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto", description="'auto': bf16 where the processor is fast."
    )
    compile: Literal["auto", "on", "off"] = Field(
        default="auto", description="torch.compile of net and augmentation. 'auto': on a GPU, in runs of 1000 steps."
    )
    deterministic: bool = Field(
        default=False, description="Bit for bit the same numbers on a GPU too; slower there. On the CPU always so."
    )
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="Every random number of the run follows from it.")
    checkpoint_every_epochs: int = Field(default=5, ge=1, le=100_000, description="Epochs between two checkpoints.")


class ResourcesConfig(Section):
    """What the run asks of a worker."""

    gpus: int = Field(
        default=0,
        ge=0,
        le=64,
        description="GPUs the run needs; the batch is split over them. 0: a GPU if the worker has one, else the CPU.",
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
        for misfit in (self._batch_misfit(), self._net_misfit(), self._loss_misfit(), self._evaluation_misfit()):
            if misfit is not None:
                raise ValueError(misfit)
        return self

    def _batch_misfit(self) -> str | None:
        subset, training, gpus = self.dataset.train_subset, self.training, self.resources.gpus
        if subset is not None and training.batch_size > subset and self.dataset.pretrain_on == "train":
            return (
                f"training.batch_size is {training.batch_size}, more than dataset.train_subset ({subset}): "
                "no full batch would remain. Lower the batch size or raise the subset."
            )
        if self.optimizer.warmup_epochs > training.epochs:
            return (
                f"optimizer.warmup_epochs is {self.optimizer.warmup_epochs:g}, longer than training.epochs "
                f"({training.epochs}): the learning rate would never reach its peak."
            )
        if training.batch_size % max(1, gpus):
            return f"training.batch_size is {training.batch_size}, which {gpus} GPUs cannot share equally."
        share = training.batch_size // max(1, gpus)
        if isinstance(training.micro_batch_size, int) and share % training.micro_batch_size:
            of = f"the {share} images of each GPU" if gpus > 1 else f"training.batch_size ({share})"
            return f"training.micro_batch_size is {training.micro_batch_size}, which does not divide {of}."
        if training.micro_batch_size == 1 and training.batch_size > 1:
            return "training.micro_batch_size is 1: batch norm needs at least 2 images at once."
        return None

    def _net_misfit(self) -> str | None:
        head, encoder = self.head, self.encoder
        if head.kind != "nonlinear" and head.hidden_dim is not None:
            return f"head.hidden_dim has no meaning with head.kind '{head.kind}': leave it empty."
        if head.kind != "nonlinear" and head.hidden_layers != 1:
            return f"head.hidden_layers has no meaning with head.kind '{head.kind}': leave it at 1."
        if head.kind == "none" and head.output_dim is not None:
            return "head.output_dim has no meaning with head.kind 'none', where z is h: leave it empty."
        if head.kind == "none" and head.batch_norm != "hidden":
            return "head.batch_norm has no meaning with head.kind 'none': leave it at 'hidden'."
        if encoder.arch.startswith("timm:") and encoder.width != 1:
            return "encoder.width cannot change a net of timm: leave it at 1, or choose a ResNet."
        if encoder.arch.startswith("timm:") and encoder.zero_init_residual:
            return "encoder.zero_init_residual is for our ResNets: switch it off for a net of timm."
        if encoder.arch.startswith("timm:") and encoder.stem != "auto":
            return "encoder.stem is for our ResNets: leave it at 'auto' for a net of timm."
        return None

    def _loss_misfit(self) -> str | None:
        if self.loss.semi_hard and self.loss.name == "nt_xent":
            return "loss.semi_hard is for NT-Logistic and margin triplet: NT-Xent weighs negatives by itself."
        if self.optimizer.nesterov and self.optimizer.name != "sgd":
            return f"optimizer.nesterov is for SGD: switch it off for '{self.optimizer.name}'."
        if self.optimizer.nesterov and self.optimizer.momentum == 0:
            return "optimizer.nesterov needs a momentum above 0."
        blurs = any(isinstance(op, BlurOp) for op in self.augmentation.ops)
        if blurs and self.dataset.image_size < 16:
            return (
                f"augmentation.ops holds blur, but dataset.image_size is {self.dataset.image_size}: a kernel of a tenth "
                "of the side would be a single pixel. Leave blur out or use images of 16 pixels or more."
            )
        return None

    def _evaluation_misfit(self) -> str | None:
        semi, transfer = self.evaluation.semi_supervised, self.evaluation.transfer
        if semi is not None and len(semi.epochs) != len(semi.label_shares):
            return (
                f"evaluation.semi_supervised.epochs holds {len(semi.epochs)} numbers for {len(semi.label_shares)} "
                "label_shares: give one for each."
            )
        if transfer is not None and self.dataset.name in transfer.datasets:
            return f"evaluation.transfer.datasets holds '{self.dataset.name}', on which the run pretrains."
        if self.evaluation.on_z and self.head.kind == "none":
            return "evaluation.on_z has no meaning with head.kind 'none', where z is h: switch it off."
        return None

    @property
    def encoder_stem(self) -> Literal["cifar", "imagenet", "stride2"]:
        """The stem that the encoder gets: 'auto' goes by the size of the images (B.9: 3x3 for CIFAR)."""
        if self.encoder.stem != "auto":
            return self.encoder.stem
        return "cifar" if self.dataset.image_size <= SMALL_IMAGE else "imagenet"

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
