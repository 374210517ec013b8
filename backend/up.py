"""Start everything on this machine: ``python -m backend.up``, which is ``make up``. Ctrl-C stops it all.

What keeps it from starting is told in one line that says what to do. Then the processes of the Procfile run under
honcho, and when the page answers its address is printed.
"""

import fcntl
import os
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

import httpx
from honcho.environ import parse_procfile
from pydantic import Field

from backend.processes import Processes
from backend.respawn import GUARDIAN
from backend.settings import Settings, WrongSettingError, make_home, read_settings

ROOT = Path(__file__).parents[1]
READY_SECONDS = 120.0
"""Start-up is called slow after this; it goes on."""
STOP_ORDER = (("worker", "interactive", "page"), ("backend",), ("broker",))
"""Workers first, while the backend can still hear that their runs go on later."""


class UpSettings(Settings):
    """The settings of the backend, and the page's port."""

    ui_port: int = Field(default=8501, ge=1, le=65_535, description="Port of the page.")


class CannotStartError(Exception):
    """Something must be put right first; the message says what and how."""


def main() -> int:
    """Start, and run until Ctrl-C or SIGTERM. Returns the exit code."""
    started = time.monotonic()
    os.umask(0o077)  # what the lab writes is for its owner, also in a data directory that was there before
    try:
        check_python()
        settings = read_settings(UpSettings)
        lock = claim_home(settings.home.absolute())
        check_ports(settings.api_port, settings.ui_port)
    except (CannotStartError, WrongSettingError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    with lock:
        processes = Processes(STOP_ORDER, after_start=lambda: announce(settings, started))
        procfile: dict[str, str] = parse_procfile((ROOT / "Procfile").read_text()).processes
        for name, command in procfile.items():
            if name != "broker" or not settings.redis_url:
                processes.add_process(name, command, env=environment(settings), cwd=str(ROOT))
        return processes.run()


def check_python() -> None:
    """Raise CannotStartError for a Python that is too old."""
    if sys.version_info < (3, 11):  # noqa: UP036 (a person may start it with any)
        raise CannotStartError(
            f"Python {sys.version.split()[0]} is too old: SimCLR Lab needs 3.11, 3.12 or 3.13. "
            "Install one, then: make PYTHON=/path/to/python3.12 up"
        )


def claim_home(home: Path) -> IO[str]:
    """Make the data directory and lock it for this instance. Raises CannotStartError."""
    try:
        make_home(home)
        lock = (home / "up.lock").open("a+")
        tempfile.TemporaryFile(dir=home).close()
    except OSError as error:
        raise CannotStartError(
            f"The data directory {home} cannot be written ({error.strerror}). "
            "Make it writable, or choose another: SIMCLR_LAB_HOME=/path/to/folder make up"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise CannotStartError(
            f"SimCLR Lab already runs in {home} (process {holder}). "
            "Use or stop that one, or choose another folder and ports: SIMCLR_LAB_HOME, SIMCLR_LAB_API_PORT, SIMCLR_LAB_UI_PORT."
        ) from error
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def check_ports(api_port: int, ui_port: int) -> None:
    """Raise CannotStartError where they are one, or something listens on one of them already."""
    if api_port == ui_port:
        raise CannotStartError(f"SIMCLR_LAB_API_PORT and SIMCLR_LAB_UI_PORT are both {api_port}: choose two ports.")
    check_port(api_port, "SIMCLR_LAB_API_PORT", "the API")
    check_port(ui_port, "SIMCLR_LAB_UI_PORT", "the page")


def check_port(port: int, variable: str, what: str) -> None:
    """Raise CannotStartError where something listens on the port already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise CannotStartError(
                f"Port {port}, for {what}, cannot be used ({error.strerror}). "
                f"Stop the program that has it, or choose another: {variable}={port + 1} make up"
            ) from error


def environment(settings: UpSettings) -> dict[str, str]:
    """What every process gets: this Python first, this project, and the settings made explicit.

    Bytecode is written whatever the environment says: without it every start compiles every library again.
    """
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {
        **inherited,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "SIMCLR_LAB_HOME": str(settings.home.absolute()),
        "SIMCLR_LAB_API_PORT": str(settings.api_port),
        "SIMCLR_LAB_UI_PORT": str(settings.ui_port),
        GUARDIAN: str(os.getpid()),
    }


def announce(settings: UpSettings, started: float) -> None:
    """Wait until backend and page answer, then say where they are."""
    api, page = f"http://127.0.0.1:{settings.api_port}", f"http://127.0.0.1:{settings.ui_port}"
    slow_at = started + READY_SECONDS
    waiting = {f"{api}/readyz", f"{page}/_stcore/health"}
    while waiting:
        waiting -= {url for url in waiting if _answers(url)}
        if time.monotonic() > slow_at:
            print(f"Still waiting for {' and '.join(sorted(waiting))}: see the messages above.", flush=True)  # noqa: T201
            slow_at += READY_SECONDS
        time.sleep(0.1)
    database = "PostgreSQL" if settings.sqlalchemy_url.startswith("postgresql") else "SQLite"
    broker = "your Redis or Valkey" if settings.redis_url else "an embedded Valkey"
    print(  # noqa: T201
        f"\n  SimCLR Lab is ready ({time.monotonic() - started:.1f} s):  {page}\n\n"
        f"  API      {api}/docs\n"
        f"  data     {settings.home.absolute()}, with {database} and {broker}\n"
        f"  workers  on this machine: one for runs, one for imports and previews\n"
        f"  Ctrl-C stops everything; what is queued or running goes on at the next start.\n",
        flush=True,
    )


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2.0, trust_env=False).is_success
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    sys.exit(main())
