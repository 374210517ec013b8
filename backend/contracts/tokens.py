"""Tokens: who gets in, and what each may do."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Role = Literal["read", "launch", "worker", "admin"]
"""``read``: look. ``launch``: also launch, stop, change and delete runs, studies and datasets. ``worker``: what a GPU
machine needs, nothing else. ``admin``: everything, tokens and the draining of workers among it.
"""


class TokenCreate(BaseModel):
    """A request for a token."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=100, description="For whom or what it is.")
    role: Role = "launch"
    expires_in_days: float | None = Field(default=None, gt=0, le=36_500, description="Empty: never.")


class TokenRead(BaseModel):
    """A token as it is listed: the secret itself is not kept."""

    model_config = ConfigDict(extra="forbid")

    id: str
    name: str
    role: Role
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class TokenCreated(TokenRead):
    """A new token with its secret, which is shown this once."""

    token: str
