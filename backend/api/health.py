"""Is it alive, and is it ready: the two routes that ask for no token."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from backend.api.dependencies import LabDep
from backend.api.errors import problems
from backend.queue import BrokerUnreachableError
from backend.services.errors import UnavailableError

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """All is well."""

    status: Literal["ok"] = "ok"


@router.get("/healthz")
def alive() -> Health:
    """The process answers."""
    return Health()


@router.get("/readyz", responses=problems(503))
def ready(lab: LabDep) -> Health:
    """Database and broker answer."""
    try:
        with lab.database.read() as session:
            session.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        raise UnavailableError("The database does not answer.") from error
    try:
        lab.broker.ping()
    except BrokerUnreachableError as error:
        raise UnavailableError("The broker does not answer.") from error
    return Health()
