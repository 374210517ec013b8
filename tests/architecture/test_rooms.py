"""Who may load what, seen at run time: each leaf of a room is imported, and what it loads is looked at.

import-linter does not see an import in a parent's ``__init__.py``; ``sys.modules`` does.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
WEB_AND_STORAGE = {"fastapi", "starlette", "streamlit", "celery", "kombu", "sqlalchemy", "alembic", "redis"}


def leaves(*rooms: str) -> list[str]:
    return sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for room in rooms
        for path in (ROOT / room).rglob("*.py")
        if path.name != "__init__.py"
    )


def loaded_by(modules: list[str], forbidden: set[str]) -> dict[str, list[str]]:
    """Which of the forbidden packages each module is the first to load; modules share one process, to be quick."""
    code = """
import importlib, json, sys
seen, loaded = set(sys.modules), {}
for module in json.loads(sys.argv[1]):
    importlib.import_module(module)
    loaded[module] = sorted(set(sys.modules) - seen)
    seen = set(sys.modules)
print(json.dumps(loaded))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(modules)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    bad = {module: [name for name in names if is_of(name, forbidden)] for module, names in loaded.items()}
    return {module: names for module, names in bad.items() if names}


def is_of(name: str, packages: set[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def test_the_science_loads_nothing_of_ours_and_no_web_queue_or_database():
    ours = {"backend", "frontend", *(module for module in leaves("worker") if not is_of(module, {"worker.simclr"}))}
    assert loaded_by(leaves("worker/simclr"), {*ours, "pydantic", "httpx", *WEB_AND_STORAGE}) == {}


def test_the_contracts_load_pydantic_only():
    forbidden = {"httpx", "torch", "worker", "frontend", "pydantic_settings", *WEB_AND_STORAGE}
    assert loaded_by(leaves("backend/contracts"), forbidden) == {}


def test_the_check_sees_a_forbidden_package():
    assert loaded_by(["backend.client"], {"httpx"}) != {}


def test_the_backend_loads_no_torch_and_neither_worker_nor_pages():
    forbidden = {"torch", "torchvision", "worker", "frontend", "streamlit"}
    assert loaded_by(leaves("backend"), forbidden) == {}


def test_the_pages_know_http_only():
    forbidden = {"torch", "torchvision", "worker", "sqlalchemy", "celery", "backend.db", "backend.services"}
    assert loaded_by([m for m in leaves("frontend") if m != "frontend.app"], forbidden) == {}


def test_the_supervising_worker_loads_no_database_no_web_and_no_torch():
    forbidden = {"fastapi", "sqlalchemy", "streamlit", "torch", "frontend", "backend.db", "backend.services"}
    assert loaded_by(["worker.app", "worker.supervisor", "worker.tasks"], forbidden) == {}


def test_the_training_process_loads_no_web_queue_or_database():
    assert loaded_by(["worker.train"], {"frontend", "backend.client", "httpx", *WEB_AND_STORAGE}) == {}


def test_every_init_file_is_empty():
    filled = [
        path
        for room in ("backend", "worker", "frontend")
        for path in (ROOT / room).rglob("__init__.py")
        if path.read_text().strip()
    ]
    assert filled == []


def test_modules_stay_small():
    """About 300 lines: a module that outgrows it holds a concept that wants its own name."""
    long = {
        str(path.relative_to(ROOT)): lines
        for room in ("backend", "worker", "frontend", "benchmarks")
        for path in (ROOT / room).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 330
    }
    assert long == {}
