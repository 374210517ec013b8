"""The backend: ``python -m backend.main`` migrates the database and serves the API."""

import sys
from types import FrameType

import uvicorn
from fastapi import FastAPI

from backend.api.app import create_app
from backend.settings import WrongSettingError, read_settings


class Server(uvicorn.Server):
    """Ends the live streams when it is told to end, instead of waiting for them."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM or Ctrl-C."""
        self._app.state.lab.hub.close()
        super().handle_exit(sig, frame)


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    try:
        settings = read_settings()
    except WrongSettingError as error:
        sys.exit(str(error))
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.api_host,
        port=settings.api_port,
        timeout_graceful_shutdown=2,
        access_log=False,
        proxy_headers=False,  # the application knows which proxies to trust
        server_header=False,
    )
    Server(config, app).run()


if __name__ == "__main__":
    main()
