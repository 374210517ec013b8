"""Previews: the two views of some images, exactly as step k of a run with this config would see them."""

from pydantic import BaseModel, ConfigDict, Field

from backend.contracts.config import ExperimentConfig


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ViewsRequest(_Message):
    """Which config, which step, how many images."""

    config: ExperimentConfig = Field(default_factory=ExperimentConfig)
    images: int = Field(default=6, ge=1, le=32)
    step: int = Field(default=0, ge=0, le=1_000_000_000)


class ViewTriple(_Message):
    """One image and its two views as base64 PNG, with its class."""

    label: str
    image_png: str
    view1_png: str
    view2_png: str


class ViewsPreview(_Message):
    """The views, or the reason why there are none."""

    items: list[ViewTriple]
    error: str | None = None


class PreviewJob(_Message):
    """What a worker needs to draw the views."""

    id: str
    request: ViewsRequest
    pack_sha256: str | None
