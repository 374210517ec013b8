"""Augmentations in the config: an ordered list of transformations, each with its probability and parameters."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from backend.contracts.section import Probability, Section


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
