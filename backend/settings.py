"""The backend's settings, from ``SIMCLR_LAB_*`` variables or ``.env``, and the token that lets people in."""

import os
import secrets
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from backend.contracts.tasks import embedded_broker_url

MEBIBYTE = 1 << 20
GIBIBYTE = 1 << 30


class Settings(BaseSettings):
    """Every setting has a default that suits ``make up`` on one machine."""

    model_config = SettingsConfigDict(env_prefix="SIMCLR_LAB_", env_file=".env", extra="ignore", frozen=True)

    home: Path = Field(default=Path(".simclr-lab"), description="Data directory.")
    api_host: str = Field(default="127.0.0.1", description="Address the API listens on.")
    api_port: int = Field(default=8000, ge=0, le=65_535, description="Port the API listens on.")
    database_url: str = Field(default="", description="SQLAlchemy URL. Empty: SQLite in the data directory.")
    redis_url: str = Field(default="", description="Celery broker URL. Empty: the embedded Valkey.")
    token: SecretStr = Field(default=SecretStr(""), description="Empty: made at the first start.")
    lease_seconds: float = Field(default=15.0, gt=0, description="A run whose worker is silent for so long goes back.")
    max_attempts: int = Field(default=3, ge=1, description="Crashed or lost attempts after which a run has failed.")
    reconcile_seconds: float = Field(default=1.0, gt=0, description="Pause of the reconcile loop.")
    min_free_bytes: int = Field(default=GIBIBYTE, ge=0, description="A worker with less free disk is given no run.")
    import_silence_seconds: float = Field(default=60.0, gt=0, description="An import silent for so long is sent again.")
    preview_seconds: float = Field(default=20.0, gt=0, le=60, description="How long a preview waits for a worker.")
    checkpoint_retention_days: float | None = Field(
        default=None, gt=0, description="Checkpoints of runs that ended so long ago are removed. Empty: they are kept."
    )
    max_log_lines: int = Field(
        default=20_000, ge=100, description="Log lines kept of a run; the oldest info goes first."
    )
    max_system_samples: int = Field(default=10_000, ge=100, description="Samples of the load kept of a run.")
    max_json_bytes: int = Field(default=2 * MEBIBYTE, gt=0, description="Largest body of a JSON request.")
    max_worker_json_bytes: int = Field(default=64 * MEBIBYTE, gt=0, description="The same, for a worker's reports.")
    max_upload_bytes: int = Field(default=16 * GIBIBYTE, gt=0, description="Largest zip that may be uploaded.")
    max_artifact_bytes: int = Field(default=8 * GIBIBYTE, gt=0, description="Largest file that a run may store.")

    @property
    def sqlalchemy_url(self) -> str:
        """The database, with psycopg as PostgreSQL's driver."""
        url = self.database_url or f"sqlite:///{self.home.absolute() / 'simclr-lab.db'}"
        for scheme in ("postgresql://", "postgres://"):
            url = url.replace(scheme, "postgresql+psycopg://", 1) if url.startswith(scheme) else url
        return url

    @property
    def broker_url(self) -> str:
        """The Celery broker."""
        return self.redis_url or embedded_broker_url(self.home)

    @property
    def runs_dir(self) -> Path:
        """Run directories, where workers on this machine train."""
        return self.home / "runs"

    @property
    def artifacts_dir(self) -> Path:
        """What runs produced, one folder a run."""
        return self.home / "artifacts"

    @property
    def packs_dir(self) -> Path:
        """Imported datasets, one folder a content hash."""
        return self.home / "packs"

    @property
    def uploads_dir(self) -> Path:
        """Uploaded zips until they are imported."""
        return self.home / "uploads"


def find_or_make_token(settings: Settings) -> str:
    """The token: from the settings, or from the file ``token`` in the data directory, made at the first start.

    The file appears at once and whole, readable by its owner only, so that two backends that start together agree.
    """
    if given := settings.token.get_secret_value():
        return given
    path = settings.home / "token"
    if path.exists() and not path.stat().st_size:
        path.unlink(missing_ok=True)  # an empty file is no token
    if not path.exists():
        settings.home.mkdir(parents=True, exist_ok=True)
        draft = settings.home / f".token-{secrets.token_hex(8)}"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            pass  # another backend was first: its token counts
        finally:
            draft.unlink()
    return path.read_text().strip()
