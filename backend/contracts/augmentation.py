"""Augmentations in the config: an ordered list of transformations, each with its probability and parameters."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from backend.contracts.section import Probability, Section


class _Op(Section):
    """A transformation. Where it has fields ``min_x`` and ``max_x``, they are in order."""

    @model_validator(mode="after")
    def _ranges_are_ordered(self) -> Self:
        for low in type(self).model_fields:
            high = low.replace("min_", "max_", 1)
            if low.startswith("min_") and getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low} must not exceed {high}")
        return self

    @property
    def label(self) -> str:
        """Its name for a person, with the parameter by which it is known."""
        name: str = getattr(self, "name")  # noqa: B009 - each subclass declares its own literal
        return name.replace("_", " ")


class CropOp(_Op):
    """Random resized crop (appendix A): area and aspect ratio drawn per image, resized back to ``image_size``."""

    name: Literal["crop"] = "crop"
    probability: Probability = Field(default=1.0, description="Share of views it is applied to.")
    min_area: float = Field(default=0.08, ge=0.01, le=1, description="Smallest crop, as a share of the image's area.")
    max_area: float = Field(default=1.0, ge=0.01, le=1, description="Largest crop, as a share of the image's area.")
    min_ratio: float = Field(default=3 / 4, ge=0.1, le=10, description="Smallest width / height of the crop.")
    max_ratio: float = Field(default=4 / 3, ge=0.1, le=10, description="Largest width / height of the crop.")


class FlipOp(_Op):
    """Horizontal flip."""

    name: Literal["flip"] = "flip"
    probability: Probability = Field(default=0.5, description="Share of views that are flipped.")


class ColorOp(_Op):
    """Colour distortion of strength s (appendix A): jitter (0.8s, 0.8s, 0.8s, 0.2s), then grey-scale drop."""

    name: Literal["color"] = "color"
    strength: float = Field(default=0.5, ge=0, le=2, description="Strength s: 1 for ImageNet, 0.5 for CIFAR-10 (B.9).")
    jitter_probability: Probability = Field(default=0.8, description="Share of views whose colours are jittered.")
    grayscale_probability: Probability = Field(default=0.2, description="Share of views turned to grey.")

    @property
    def label(self) -> str:
        """With its strength."""
        return f"color {self.strength:g}"


class JitterOp(_Op):
    """Colour jitter alone (Figure 4): brightness, contrast, saturation and hue, in an order shuffled per image."""

    name: Literal["jitter"] = "jitter"
    probability: Probability = Field(default=0.8, description="Share of views whose colours are jittered.")
    strength: float = Field(
        default=0.5, ge=0, le=2, description="Strength s: reaches are 0.8s, 0.8s, 0.8s and 0.2s where not given below."
    )
    brightness: float | None = Field(
        default=None, ge=0, le=2, description="Factors of brightness reach so far from 1. Empty: 0.8 x strength."
    )
    contrast: float | None = Field(
        default=None, ge=0, le=2, description="Factors of contrast reach so far from 1. Empty: 0.8 x strength."
    )
    saturation: float | None = Field(
        default=None, ge=0, le=2, description="Factors of saturation reach so far from 1. Empty: 0.8 x strength."
    )
    hue: float | None = Field(
        default=None, ge=0, le=0.5, description="Hues are turned so far, in full turns. Empty: 0.2 x strength."
    )

    @property
    def label(self) -> str:
        """With its strength, and with the reaches that are given."""
        given = [
            f"{field} {value:g}"
            for field in ("brightness", "contrast", "saturation", "hue")
            if (value := getattr(self, field)) is not None
        ]
        return f"jitter {', '.join(given)}" if len(given) == 4 else ", ".join([f"jitter {self.strength:g}", *given])


class GrayscaleOp(_Op):
    """Colour drop alone (Figure 4): luma for images of three channels, the mean of the channels for others."""

    name: Literal["grayscale"] = "grayscale"
    probability: Probability = Field(default=0.2, description="Share of views turned to grey.")


class BlurOp(_Op):
    """Gaussian blur (appendix A): sigma drawn per image, kernel about 10% of the image's side."""

    name: Literal["blur"] = "blur"
    probability: Probability = Field(default=0.5, description="Share of views that are blurred.")
    min_sigma: float = Field(default=0.1, gt=0, le=10, description="Smallest standard deviation, in pixels.")
    max_sigma: float = Field(default=2.0, gt=0, le=10, description="Largest standard deviation, in pixels.")


class CutoutOp(_Op):
    """Cutout (Figure 4): a square around a random pixel painted grey, cut off at the image's edge."""

    name: Literal["cutout"] = "cutout"
    probability: Probability = Field(default=1.0, description="Share of views it is applied to.")
    min_size: float = Field(
        default=0.5, gt=0, le=1, description="Smallest side of the square, as a share of the image's shorter side."
    )
    max_size: float = Field(
        default=0.5, gt=0, le=1, description="Largest side of the square, as a share of the image's shorter side."
    )
    fill: float = Field(default=0.5, ge=0, le=1, description="Intensity of the square: 0 black, 0.5 grey, 1 white.")


class RotateOp(_Op):
    """Rotation by 90, 180 or 270 degrees (Figure 4), each as often."""

    name: Literal["rotate"] = "rotate"
    probability: Probability = Field(
        default=0.75, description="Share of views that are rotated; at 0.75 all four orientations are equally likely."
    )


class NoiseOp(_Op):
    """Gaussian noise (Figure 4), independent in every pixel and channel; sigma drawn per image."""

    name: Literal["noise"] = "noise"
    probability: Probability = Field(default=0.5, description="Share of views with noise.")
    min_sigma: float = Field(
        default=0.05, gt=0, le=1, description="Smallest standard deviation, as a share of full intensity."
    )
    max_sigma: float = Field(
        default=0.2, gt=0, le=1, description="Largest standard deviation, as a share of full intensity."
    )


class SobelOp(_Op):
    """Sobel filtering (Figure 4): each channel becomes the strength of its edges."""

    name: Literal["sobel"] = "sobel"
    probability: Probability = Field(default=0.5, description="Share of views that are filtered.")


class EqualizeOp(_Op):
    """Histogram equalisation of each channel (appendix B.2)."""

    name: Literal["equalize"] = "equalize"
    probability: Probability = Field(default=0.2, description="Share of views that are equalised.")


class SolarizeOp(_Op):
    """Solarisation (appendix B.2): intensities from a threshold on are inverted."""

    name: Literal["solarize"] = "solarize"
    probability: Probability = Field(default=0.2, description="Share of views that are solarised.")
    threshold: float = Field(default=0.5, ge=0, le=1, description="Intensity from which on it inverts; 1 is full.")


class MotionBlurOp(_Op):
    """Motion blur (appendix B.2): along a straight line of any angle; its length is drawn per image."""

    name: Literal["motion_blur"] = "motion_blur"
    probability: Probability = Field(default=0.5, description="Share of views that are blurred.")
    min_length: float = Field(
        default=0.05, gt=0, le=0.25, description="Shortest line, as a share of the image's shorter side."
    )
    max_length: float = Field(
        default=0.1, gt=0, le=0.25, description="Longest line, as a share of the image's shorter side."
    )


class AutoAugmentOp(_Op):
    """AutoAugment (Table 1): one of the policy's 25 pairs of operations, drawn per image."""

    name: Literal["autoaugment"] = "autoaugment"
    probability: Probability = Field(default=1.0, description="Share of views it is applied to.")
    policy: Literal["imagenet", "cifar10"] = Field(
        default="imagenet", description="On which dataset the policy was found (with its labels)."
    )

    @property
    def label(self) -> str:
        """With its policy."""
        return f"autoaugment {self.policy}"


AugmentationOp = Annotated[
    CropOp
    | FlipOp
    | ColorOp
    | JitterOp
    | GrayscaleOp
    | BlurOp
    | CutoutOp
    | RotateOp
    | NoiseOp
    | SobelOp
    | EqualizeOp
    | SolarizeOp
    | MotionBlurOp
    | AutoAugmentOp,
    Field(discriminator="name"),
]


class AugmentationConfig(Section):
    """The transformations that make a view, in the order in which they are applied."""

    ops: tuple[AugmentationOp, ...] = Field(
        default=(CropOp(), FlipOp(), ColorOp()),
        max_length=16,
        description="Ordered list of transformations. The default is the paper's for CIFAR-10: crop, flip, colour 0.5.",
    )
    branches: Literal["both", "one"] = Field(
        default="both",
        description="'both': each view is transformed. 'one' (Figure 5): both views are the same random crop, and only "
        "the first is transformed.",
    )

    @property
    def label(self) -> str:
        """The composition in a few words, such as ``crop + flip + color 0.5``; ``none`` where the list is empty."""
        composition = " + ".join(op.label for op in self.ops) or "none"
        return composition if self.branches == "both" else f"{composition} (one view)"
