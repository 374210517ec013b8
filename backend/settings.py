"""The backend's settings, from ``SIMCLR_LAB_*`` variables or ``.env``, and the token that lets people in."""

import os
import secrets
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from backend.contracts.tasks import embedded_broker_url

MEBIBYTE = 1 << 20
GIBIBYTE = 1 << 30
TOKEN_PREFIX = "slab_"  # noqa: S105 (by which scanners for secrets know one of ours)
SHORTEST_TOKEN = 43
"""Characters of 256 random bits in base 64."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""In a variable: separated by commas."""


class Settings(BaseSettings):
    """Every setting has a default that suits ``make up`` on one machine."""

    model_config = SettingsConfigDict(
        env_prefix="SIMCLR_LAB_", env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    home: Path = Field(default=Path(".simclr-lab"), description="Data directory.")
    api_host: str = Field(default="127.0.0.1", description="Address the API listens on.")
    api_port: int = Field(default=8000, ge=0, le=65_535, description="Port the API listens on.")
    database_url: SecretStr = Field(
        default=SecretStr(""), description="SQLAlchemy URL. Empty: SQLite in the data directory."
    )
    redis_url: SecretStr = Field(default=SecretStr(""), description="Celery broker URL. Empty: the embedded Valkey.")
    token: SecretStr = Field(default=SecretStr(""), description="Empty: made at the first start.")
    allowed_hosts: Names = Field(default=(), description="Names of the API besides loopback and api_host.")
    cors_origins: Names = Field(default=(), description="Origins whose pages may call the API, such as https://lab.me.")
    trusted_proxies: Names = Field(default=(), description="Addresses or networks whose X-Forwarded-For counts.")
    requests_per_minute: int = Field(default=1200, ge=1, description="Of a token, or of an address without one.")
    machine_requests_per_minute: int = Field(
        default=60_000,
        ge=1,
        description="Of a worker's token, and of the data directory's, which page and workers share.",
    )
    failures_per_minute: int = Field(default=20, ge=1, description="Wrong tokens from one address.")
    body_seconds: float = Field(default=60.0, gt=0, description="A JSON body comes within; a file pauses no longer.")
    lease_seconds: float = Field(default=15.0, gt=0, description="A run whose worker is silent for so long goes back.")
    max_attempts: int = Field(
        default=3, ge=1, description="After so many crashed or lost attempts without a new checkpoint a run has failed."
    )
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

    @field_validator("token")
    @classmethod
    def _is_long_and_sendable(cls, token: SecretStr) -> SecretStr:
        text = token.get_secret_value()
        if text and (len(text) < SHORTEST_TOKEN or not text.isascii() or not text.isprintable() or " " in text):
            raise ValueError(
                f"it must have {SHORTEST_TOKEN} characters or more, letters and digits, from a random source such as "
                "'openssl rand -hex 32'"
            )
        return token

    @field_validator("database_url", "redis_url")
    @classmethod
    def _is_url(cls, url: SecretStr) -> SecretStr:
        """Refuse what libraries would quote in their errors, in pieces, as it is no URL."""
        if not _is_url(url.get_secret_value()):
            raise ValueError("it is no URL: write special characters of the password as %40 (@), %2F (/), %3A (:), ...")
        return url

    @property
    def hosts(self) -> frozenset[str]:
        """The names and addresses under which the API may be asked for, in small letters, without brackets."""
        return frozenset(name.lower().strip("[]") for name in (*_LOOPBACK, self.api_host, *self.allowed_hosts))

    @property
    def sqlalchemy_url(self) -> str:
        """The database, with psycopg as PostgreSQL's driver."""
        url = self.database_url.get_secret_value() or f"sqlite:///{self.home.absolute() / 'simclr-lab.db'}"
        for scheme in ("postgresql://", "postgres://"):
            url = url.replace(scheme, "postgresql+psycopg://", 1) if url.startswith(scheme) else url
        return url

    @property
    def broker_url(self) -> str:
        """The Celery broker."""
        return self.redis_url.get_secret_value() or embedded_broker_url(self.home)

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


_S = TypeVar("_S", bound=Settings)


class WrongSettingError(Exception):
    """A setting is wrong; the message names its variable and says why, without a secret's value."""


def read_settings(kind: type[_S] = Settings) -> _S:
    """The settings from environment and ``.env``. Raises WrongSettingError."""
    try:
        return kind()
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])
        variable, reason = f"SIMCLR_LAB_{field.upper()}", first["msg"].removeprefix("Value error, ")
        is_secret = kind.model_fields[field].annotation is SecretStr
        given = "cannot be used" if is_secret else f"is {first['input']!r}"
        raise WrongSettingError(f"{variable} {given}: {reason}. Correct or unset it.") from None


def make_home(home: Path) -> None:
    """Make the data directory, for its owner only. One that is there keeps its permissions."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)


def new_secret() -> str:
    """256 random bits."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


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
        make_home(settings.home)
        draft = settings.home / f".token-{secrets.token_hex(8)}"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(new_secret() + "\n")
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            pass  # another backend was first: its token counts
        finally:
            draft.unlink()
    return path.read_text().strip()


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    stray = url.count("@") - (1 if "@" in parts.netloc else 0)
    return not url or (bool(parts.scheme) and not (parts.netloc and stray))
