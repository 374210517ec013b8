"""What a run that goes on may change: more epochs, or a micro-batch that fits into memory."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class RunChanges(BaseModel):
    """Changes to the config of a run that is resumed; what is left out stays.

    All that was trained so far stays true under them: the learning rate follows the longer schedule from the resumed
    step on, and a micro-batch computes the gradient of the whole batch.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int | None = Field(default=None, ge=1, le=100_000, description="training.epochs: at least as many as now.")
    micro_batch_size: Annotated[int, Field(ge=1, le=65_536)] | Literal["auto"] | None = Field(
        default=None, description="training.micro_batch_size; 'auto': the largest that fits."
    )
