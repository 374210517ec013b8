"""The FastAPI application: routes, errors, access, and what starts and ends with it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI

from backend.api import artifacts, datasets, estimates, health, previews, queue, runs, stream, studies, worker, workers
from backend.api.access import TokenMiddleware
from backend.api.description import SUMMARY, TEXT, describe
from backend.api.errors import handle_errors
from backend.db import migrate
from backend.db.engine import Database
from backend.hub import Hub
from backend.queue import Broker
from backend.services.lab import Lab
from backend.services.reconcile import Reconciler
from backend.settings import Settings, find_or_make_token


def create_app(settings: Settings) -> FastAPI:
    """The application for these settings. Makes the data directory and the token; migrates when it starts."""
    settings.home.mkdir(parents=True, exist_ok=True)
    token = find_or_make_token(settings)
    hub = Hub(settings.broker_url)
    database = Database(settings.sqlalchemy_url, on_change=hub.announce)
    lab = Lab(settings=settings, database=database, broker=Broker(settings.broker_url), hub=hub)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        migrate.upgrade(lab.database)
        reconciler = Reconciler(lab)
        async with hub.running():
            reconciler.start()
            yield
            hub.close()
            reconciler.close()
        lab.close()

    app = FastAPI(title="SimCLR Lab", version="1", summary=SUMMARY, description=TEXT, lifespan=lifespan, redoc_url=None)
    app.state.lab = lab
    api = APIRouter(prefix="/api/v1")
    for module in (runs, queue, stream, artifacts, studies, datasets, previews, estimates, workers, worker):
        api.include_router(module.router)
    app.include_router(api)
    app.include_router(health.router)
    app.add_middleware(TokenMiddleware, token=token)
    handle_errors(app)
    describe(app)
    return app
