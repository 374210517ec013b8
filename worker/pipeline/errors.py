"""What the pipeline refuses."""


class ConfigError(ValueError):
    """The config is valid by itself but does not fit these images or this machine. ``field`` is its dotted path."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
