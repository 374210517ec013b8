"""The worker's settings, from ``SIMCLR_LAB_*`` variables or ``.env``: the client's, where the broker is, and slots."""

from pathlib import Path

from pydantic import Field, SecretStr

from backend.client import Connection
from backend.contracts.tasks import embedded_broker_url

VERSION = "0.1.0"
"""Version of SimCLR Lab, the one in pyproject.toml, which is not there where only the worker is installed."""


class Settings(Connection):
    """Where the backend, the broker and the data directory are, and how many runs a GPU takes at once."""

    redis_url: SecretStr = SecretStr("")
    slots_per_gpu: int = Field(default=1, ge=1, le=64)

    @property
    def broker_url(self) -> str:
        """The Celery broker; where none is named, the embedded one of the data directory."""
        return self.redis_url.get_secret_value() or embedded_broker_url(self.home)

    @property
    def packs_dir(self) -> Path:
        """Imported datasets, one folder a content hash."""
        return self.home.absolute() / "packs"

    @property
    def runs_dir(self) -> Path:
        """Run directories, one folder a run."""
        return self.home.absolute() / "runs"

    @property
    def downloads_dir(self) -> Path:
        """Where torchvision puts, and finds, the archives it downloads."""
        return self.home.absolute() / "downloads"
