"""The backend: ``python -m backend.main`` migrates the database and serves the API."""

import uvicorn

from backend.api.app import create_app
from backend.settings import Settings


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    settings = Settings()
    uvicorn.run(
        create_app(settings),
        host=settings.api_host,
        port=settings.api_port,
        timeout_graceful_shutdown=2,
        access_log=False,
    )


if __name__ == "__main__":
    main()
