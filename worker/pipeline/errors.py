"""What the pipeline refuses, and what it cannot do."""

from backend.contracts.changes import RunChanges


class ConfigError(ValueError):
    """The config is valid by itself but does not fit these images or this machine. ``field`` is its dotted path."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


class ShortageError(MemoryError):
    """A training step needs more memory than there is. With ``remedy`` the run is expected to go on."""

    def __init__(self, message: str, remedy: RunChanges | None) -> None:
        super().__init__(message)
        self.remedy = remedy
