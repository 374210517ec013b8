"""What can go wrong, with a message that says what to do. The API turns these into problem details.

ServiceError
├── NotFoundError      there is no such thing
├── ConflictError      not in this state, or the name is in use
├── LeaseLostError     a worker wrote for an attempt that is not its own any more
├── InvalidError       a value cannot work; names its fields
├── TooLargeError      more bytes than the limit
├── TooSlowError       the bytes did not come in time
├── NoSpaceError       the disk is full
├── UnavailableError   a part of the system does not answer
└── NoAnswerError      no worker answered in time
"""

from collections.abc import Sequence

from backend.contracts.problems import FieldError


class ServiceError(Exception):
    """Something the caller can act on."""


class NotFoundError(ServiceError):
    """There is no such thing."""


class ConflictError(ServiceError):
    """It cannot be done in this state, or the name is in use."""


class LeaseLostError(ConflictError):
    """The attempt is not the current one, or the run is not running: the worker must kill its training process."""


class InvalidError(ServiceError):
    """A value cannot work. ``errors`` names the fields by dotted path, as in the request."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        self.errors = list(errors)
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in errors))

    @classmethod
    def field(cls, field: str, message: str) -> "InvalidError":
        """One field is wrong."""
        return cls([FieldError(field=field, message=message)])


class TooLargeError(ServiceError):
    """More bytes than the limit."""


class TooSlowError(ServiceError):
    """The bytes did not come in time."""


class NoSpaceError(ServiceError):
    """The disk is full."""


class UnavailableError(ServiceError):
    """A part of the system does not answer."""


class NoAnswerError(ServiceError):
    """No worker answered in time."""
