"""Evaluation in the config: what is measured on the frozen encoder, during pretraining and after it.

Each optional section is switched on by giving it, even as ``{}``; every field inside has the paper's value as default.
"""

from typing import Annotated, Literal

from pydantic import Field

from backend.contracts.section import DatasetName, Section

LabelShare = Annotated[float, Field(gt=0, le=1)]


class LinearSgdConfig(Section):
    """Linear evaluation by SGD (appendix B.6): a linear classifier on frozen h of images with random crop and flip."""

    epochs: int = Field(default=90, ge=1, le=10_000, description="Passes over the training images.")
    batch_size: int = Field(default=256, ge=2, le=65_536, description="Images a step; at most the training images.")
    learning_rate: float = Field(
        default=0.1, gt=0, le=1000, description="Base learning rate, times batch/256; Nesterov momentum 0.9, no decay."
    )


class SemiSupervisedConfig(Section):
    """Fine-tuning of the whole net on few labels (Table 7): a class-balanced share of the labels, crop and flip."""

    label_shares: tuple[LabelShare, ...] = Field(
        default=(0.01, 0.1), min_length=1, max_length=8, description="Shares of the labels, one fine-tuning each."
    )
    epochs: tuple[Annotated[int, Field(ge=1, le=10_000)], ...] = Field(
        default=(60, 30), min_length=1, max_length=8, description="Epochs of each fine-tuning, in the order of shares."
    )
    batch_size: int = Field(
        default=64,
        ge=2,
        le=65_536,
        description="Images a step; with fewer labels than that, all of them. Large batches of few labels make few steps.",
    )
    learning_rate: float = Field(
        default=0.05, gt=0, le=1000, description="Base learning rate, times batch/256; Nesterov momentum 0.9, no decay."
    )
    supervised_baseline: bool = Field(
        default=False, description="Train the same net from scratch on the same labels too."
    )


class TransferConfig(Section):
    """Linear evaluation of the frozen encoder on other datasets (appendix B.8)."""

    datasets: tuple[DatasetName, ...] = Field(
        default=("shapes",), min_length=1, max_length=16, description="Names of the other datasets, each with labels."
    )


class SupervisedConfig(Section):
    """Supervised baseline: the same net, augmentation and batch size, trained from scratch with the labels."""

    epochs: int | None = Field(
        default=None, ge=1, le=100_000, description="Passes over the training images. Empty: those of the pretraining."
    )
    learning_rate: float = Field(
        default=0.1, gt=0, le=1000, description="Base learning rate, times batch/256; Nesterov momentum 0.9, cosine."
    )
    weight_decay: float = Field(default=1e-4, ge=0, le=1, description="Weight decay; not on biases and batch norm.")


class TransformationConfig(Section):
    """What h and z still know of the transformation that was applied (Table 3), by a classifier on each."""

    tasks: tuple[Literal["color", "rotation", "corruption", "sobel"], ...] = Field(
        default=("color", "rotation", "corruption", "sobel"),
        min_length=1,
        max_length=4,
        description="'color': colour or grey; 'rotation': 0, 90, 180 or 270 degrees; 'corruption': original or with "
        "Gaussian noise; 'sobel': original or Sobel-filtered.",
    )


class ProjectionConfig(Section):
    """A map of test images in two dimensions, with the nearest neighbours of each."""

    method: Literal["pca", "tsne", "umap"] = Field(default="pca", description="'umap' needs the package umap-learn.")
    images: int = Field(default=1000, ge=10, le=20_000, description="Test images on the map.")
    neighbors: int = Field(default=8, ge=0, le=50, description="Nearest test images by cosine similarity of each.")


class EvaluationConfig(Section):
    """What is measured on the frozen representation h, during pretraining and after it."""

    knn_every_epochs: int = Field(
        default=5, ge=0, le=100_000, description="Epochs between kNN accuracies. 0: only at the end."
    )
    knn_neighbors: int = Field(default=200, ge=1, le=10_000, description="Neighbours that vote in the kNN accuracy.")
    linear: bool = Field(default=True, description="Linear evaluation at the end (L-BFGS logistic regression on h).")
    untrained_baseline: bool = Field(default=True, description="Evaluate the untrained encoder in the same way too.")
    on_z: bool = Field(default=False, description="Evaluate z = g(h) in the same way too (Figure 8).")
    linear_sgd: LinearSgdConfig | None = Field(default=None, description="The paper's linear evaluation by SGD.")
    semi_supervised: SemiSupervisedConfig | None = Field(default=None, description="Fine-tuning on 1% and 10% labels.")
    transfer: TransferConfig | None = Field(default=None, description="Linear evaluation on other datasets.")
    supervised: SupervisedConfig | None = Field(default=None, description="Supervised baseline of the same net.")
    transformations: TransformationConfig | None = Field(
        default=None, description="Prediction of the applied transformation from h and z (Table 3)."
    )
    projection: ProjectionConfig | None = Field(default=None, description="A 2-D map of test images.")

    def extended(self, more: "EvaluationConfig") -> "EvaluationConfig":
        """The same with every field that ``more`` sets: how a finished run is asked for further evaluations."""
        return self.model_copy(update={name: getattr(more, name) for name in more.model_fields_set})
