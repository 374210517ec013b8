"""Problem details (RFC 9457): the one shape of every error the API answers with."""

from pydantic import BaseModel


class FieldError(BaseModel):
    """What is wrong with one field of the request; ``field`` is a dotted path such as ``config.training.epochs``."""

    field: str
    message: str


class Problem(BaseModel):
    """An error: what happened, and in ``detail`` what to do about it."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []
