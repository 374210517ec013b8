"""What the lab opens on its machine: loopback, a private socket, and files for its owner only."""

import ipaddress
import os
import re
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from backend.contracts.tasks import embedded_broker_socket
from tests.system.conftest import free_ports, wait_until

ROOT = Path(__file__).parents[2]


class Small:
    """A backend and its embedded broker, started under a umask that hides nothing."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (self.port,) = free_ports(1)
        variables = {"SIMCLR_LAB_HOME": str(home), "SIMCLR_LAB_API_PORT": str(self.port), "PYTHONPATH": str(ROOT)}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SIMCLR_LAB_")}
        self.processes = [
            subprocess.Popen([sys.executable, "-m", module], env={**inherited, **variables}, cwd=home.parent, umask=0)
            for module in ("backend.broker", "backend.main")
        ]

    @property
    def is_ready(self) -> bool:
        assert all(process.poll() is None for process in self.processes)
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/readyz", trust_env=False).is_success
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(30)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    lab = Small(tmp_path_factory.mktemp("l") / "lab")
    try:
        wait_until(lambda: lab.is_ready, "backend and broker answer")
        yield lab
    finally:
        lab.stop()


def test_it_listens_on_loopback_and_unix_sockets_only(lab: Small) -> None:
    inet: list[tuple[str, int]] = []
    for process in lab.processes:
        everyone = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for one in everyone:
            inet += [
                link.laddr
                for link in one.net_connections("inet")
                if link.status in {psutil.CONN_LISTEN, psutil.CONN_NONE}
            ]
    assert [port for _, port in inet] == [lab.port]
    assert all(ipaddress.ip_address(host).is_loopback for host, _ in inet)


def test_what_it_keeps_is_for_its_owner_only(lab: Small) -> None:
    broker = embedded_broker_socket(lab.home).stat()
    assert stat.S_ISSOCK(broker.st_mode)
    assert stat.S_IMODE(broker.st_mode) == 0o700
    assert stat.S_IMODE((lab.home / "token").stat().st_mode) == 0o600
    assert stat.S_IMODE(lab.home.stat().st_mode) == 0o700


def test_the_page_listens_on_loopback_and_keeps_its_protection_against_forged_requests() -> None:
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert config["server"]["address"] == "127.0.0.1"
    assert config["server"]["enableXsrfProtection"] is True
    assert config["server"]["enableCORS"] is True
    (page,) = re.findall(r"^page:.*", (ROOT / "Procfile").read_text(), re.MULTILINE)
    assert "--server.address 127.0.0.1" in page


def test_containers_are_reached_from_their_machine_only() -> None:
    published = re.findall(r"ports: \[(.*)\]", (ROOT / "docker-compose.yml").read_text())
    assert published
    assert all(re.fullmatch(r'"127\.0\.0\.1:\d+:\d+"', ports) for ports in published)
