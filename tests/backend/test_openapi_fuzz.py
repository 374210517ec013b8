"""Requests made from the API's description, to every route: no 5xx for any input, and answers as documented.

``SIMCLR_LAB_FUZZ_EXAMPLES=1000 .venv/bin/pytest -n 0 tests/backend/test_openapi_fuzz.py`` for a long look.
"""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from backend.api.app import create_app
from backend.contracts.datasets import DatasetCreate
from backend.contracts.runs import AttemptEnd, ClaimRequest, RunCreate
from backend.contracts.studies import Axis, AxisPoint, StudyCreate
from backend.db import migrate
from backend.services import attempts, imports, runs, studies, workers
from backend.services.lab import Lab
from backend.settings import Settings, find_or_make_token
from tests.backend.events import batch, loss
from tests.examples import a_beat

EXAMPLES = int(os.environ.get("SIMCLR_LAB_FUZZ_EXAMPLES", "12"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def seed(lab: Lab) -> dict[str, list[str]]:
    """Something of everything; the values of path parameters that lead to it."""
    worker = a_beat("w-1")
    workers.beat(lab, worker)
    queued, running, ended = (runs.launch(lab, RunCreate(name=name)).id for name in ("queued", "running", "ended"))
