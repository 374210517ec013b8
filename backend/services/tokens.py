"""Tokens that people made: who may do what, until when. A secret is known by its SHA-256 only."""

import hashlib
import hmac
import logging
import time
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from backend.contracts.tokens import Role, TokenCreate, TokenCreated, TokenRead
from backend.db.models import Token
from backend.db.types import utc_now
from backend.services.actor import USER
from backend.services.errors import NotFoundError, UnavailableError
from backend.services.lab import Lab, new_id
from backend.settings import new_secret

LOG = logging.getLogger(__name__)
NOTE_SECONDS = 60.0
"""The time of a token's last use is written no more often."""

_GRANTED: dict[Role, frozenset[Role]] = {
    "read": frozenset({"read"}),
    "launch": frozenset({"read", "launch"}),
    "worker": frozenset({"worker"}),
    "admin": frozenset({"read", "launch", "worker", "admin"}),
}


@dataclass(frozen=True)
class Holder:
    """Who asks. ``token_id`` is None for the data directory's token, which is in no table and cannot be revoked."""

    token_id: str | None
    role: Role
    name: str = USER

    def may(self, needed: Role) -> bool:
        """Whether this role holds the other one."""
        return needed in _GRANTED[self.role]


def create(lab: Lab, request: TokenCreate) -> TokenCreated:
    """Make a token. Its secret is in the answer and nowhere else."""
    secret, now, days = new_secret(), utc_now(), request.expires_in_days
    token = Token(
        id=new_id(),
        name=request.name,
        role=request.role,
        sha256=_sha256(secret),
        created_at=now,
        expires_at=None if days is None else now + timedelta(days=days),
    )
    with lab.database.write() as session:
        session.add(token)
    return TokenCreated(**_read_model(token).model_dump(), token=secret)


def listed(lab: Lab) -> list[TokenRead]:
    """Tokens, oldest first, expired ones too."""
    with lab.database.read() as session:
        return [_read_model(token) for token in session.scalars(select(Token).order_by(Token.id))]


def revoke(lab: Lab, token_id: str) -> None:
    """From now on nobody gets in with it. Raises NotFoundError."""
    with lab.database.write() as session:
        if session.execute(delete(Token).where(Token.id == token_id).returning(Token.id)).first() is None:
            raise NotFoundError(f"There is no token '{token_id}'.")


def holder_of(lab: Lab, secret: str) -> Holder | None:
    """Who has this secret; None where it is unknown, revoked or expired. Raises UnavailableError."""
    digest = _sha256(secret)
    valid = or_(Token.expires_at.is_(None), Token.expires_at > utc_now())
    try:
        with lab.database.read() as session:
            token = session.scalars(select(Token).where(Token.sha256 == digest, valid)).one_or_none()
    except SQLAlchemyError as error:
        raise UnavailableError("The database does not answer.") from error
    if token is None or not hmac.compare_digest(token.sha256, digest):
        return None
    return Holder(token.id, token.role, token.name)


class UseNotes:
    """Writes when tokens were used, once a minute each, so that reading costs no write. For one thread."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._due: dict[str, float] = {}

    def is_due(self, token_id: str) -> bool:
        """Whether ``note`` is to be called for this token: True once a minute."""
        now = time.monotonic()
        if now < self._due.get(token_id, 0.0):
            return False
        self._due[token_id] = now + NOTE_SECONDS
        return True

    def note(self, token_id: str) -> None:
        """Write the time, unless another backend has just done so. A database that is busy is let be until next time."""
        now = utc_now()
        is_old = or_(Token.last_used_at.is_(None), Token.last_used_at < now - timedelta(seconds=NOTE_SECONDS))
        try:
            with self._lab.database.write() as session:
                session.execute(update(Token).where(Token.id == token_id, is_old).values(last_used_at=now))
        except SQLAlchemyError as error:
            LOG.warning("the use of token %s was not noted: %s", token_id, error)


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _read_model(token: Token) -> TokenRead:
    return TokenRead.model_validate({name: getattr(token, name) for name in TokenRead.model_fields})
