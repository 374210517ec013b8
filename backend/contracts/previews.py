"""Previews: the two views of some images, exactly as step k of a run with this config would see them."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from backend.contracts.bounds import LongText
from backend.contracts.config import ExperimentConfig

Png = Annotated[str, Field(max_length=8_000_000, description="As base64.")]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ViewsRequest(_Message):
    """Which config, which step, how many images."""

    config: ExperimentConfig = Field(default_factory=ExperimentConfig)
    images: int = Field(default=6, ge=1, le=32)
    step: int = Field(default=0, ge=0, le=1_000_000_000)


class ViewTriple(_Message):
    """One image and its two views as base64 PNG, with its class."""

    label: str = Field(max_length=10_000)
    image_png: Png
    view1_png: Png
    view2_png: Png


class ViewsPreview(_Message):
    """The views, or the reason why there are none."""

    items: list[ViewTriple] = Field(max_length=32)
    error: LongText | None = None


class PreviewJob(_Message):
    """What a worker needs to draw the views."""

    id: str
    request: ViewsRequest
    pack_sha256: str | None
