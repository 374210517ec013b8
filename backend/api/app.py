"""The FastAPI application: routes, errors, access, and what starts and ends with it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from backend.api import (
    artifacts,
    datasets,
    estimates,
    health,
    previews,
    queue,
    runs,
    stream,
    studies,
    tokens,
    worker,
    workers,
)
from backend.api.access import VIEWER, AccessMiddleware
from backend.api.description import SUMMARY, TEXT, describe
from backend.api.errors import handle_errors
from backend.api.headers import HeadersMiddleware
from backend.api.hosts import HostMiddleware
from backend.db import migrate
from backend.db.engine import Database
from backend.hub import Hub
from backend.queue import Broker
from backend.services.lab import Lab
from backend.services.reconcile import Reconciler
from backend.settings import Settings, find_or_make_token, make_home


def create_app(settings: Settings) -> FastAPI:
    """The application for these settings. Makes the data directory and the token; migrates when it starts."""
    make_home(settings.home)
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

    app = FastAPIOffline(
        title="SimCLR Lab",
        version="1",
        summary=SUMMARY,
        description=TEXT,
        lifespan=lifespan,
        redoc_url=None,
        static_url=VIEWER,
    )
    app.state.lab = lab
    api = APIRouter(prefix="/api/v1")
    for module in (runs, queue, stream, artifacts, studies, datasets, previews, estimates, workers, tokens, worker):
        api.include_router(module.router)
    app.include_router(api)
    app.include_router(health.router)
    _guard(app, lab, token)
    handle_errors(app)
    describe(app)
    return app


def _guard(app: FastAPI, lab: Lab, token: str) -> None:
    """What a request passes before a route: the last one named is the first."""
    settings = lab.settings
    app.add_middleware(AccessMiddleware, lab=lab, token=token)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Last-Event-ID"],
        )
    app.add_middleware(HostMiddleware, hosts=settings.hosts)
    app.add_middleware(HeadersMiddleware)
    if settings.trusted_proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.trusted_proxies))
