"""Requests made from the API's description, to every route: no 5xx for any input, and answers as described.

``SIMCLR_LAB_FUZZ_EXAMPLES=1000 .venv/bin/pytest -n 0 --timeout=0 tests/backend/test_openapi_fuzz.py`` looks longer, and
elsewhere each time.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, BaseSchema, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.python.asgi import HOST, get_client, shutdown_lifespans
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
from backend.contracts.tokens import TokenCreate
from backend.services import attempts, imports, runs, scheduling, studies, tokens, workers
from backend.services.lab import Lab
from backend.settings import Settings, find_or_make_token
from tests.backend.events import batch, event, loss
from tests.examples import a_beat

LONG = "SIMCLR_LAB_FUZZ_EXAMPLES" in os.environ
EXAMPLES = int(os.environ.get("SIMCLR_LAB_FUZZ_EXAMPLES", "5"))
BROKER_IS_AWAY = {503, 504}
"""Documented answers of previews: no worker is there."""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@dataclass
class Fuzzed:
    """The application, and what there is in it: values of path parameters that lead somewhere."""

    schema: BaseSchema
    token: str
    known: dict[str, list[str]]
    ended: str
    """A run that has ended and that nothing changes: its stream comes to an end."""

    def operations(self) -> list[APIOperation]:
        return [result.ok() for result in self.schema.get_all_operations()]

    def aim(self, case: Case, draw: Callable[[Any], Any]) -> None:
        """Let the request lead to what is there, mostly, and to nothing that takes long by design."""
        for name in case.path_parameters:
            if draw(st.integers(0, 4)):
                case.path_parameters[name] = draw(st.sampled_from(self.known.get(name, ["x"])))
        if case.method == "GET" and "run_id" in case.path_parameters and draw(st.booleans()):
            case.path_parameters["run_id"] = self.ended
        if case.path.endswith("/events") and case.method == "GET":
            case.path_parameters["run_id"] = self.ended
        if "seconds" in case.query:
            case.query["seconds"] = 0

    def send(self, case: Case) -> None:
        response = case.call(headers={"Authorization": f"Bearer {self.token}"})
        if not (response.status_code in BROKER_IS_AWAY and case.path.endswith("/previews/views")):
            case.validate_response(response, checks=CHECKS)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path, valkey: Path) -> Iterator[Fuzzed]:
    home = tmp_path_factory.mktemp("fuzz")
    shutil.copyfile(migrated_sqlite, home / "simclr-lab.db")
    settings = Settings(
        home=home,
        redis_url=f"redis+socket://{valkey}",
        lease_seconds=600,
        preview_seconds=0.01,
        reconcile_seconds=60,
        allowed_hosts=(HOST,),
        machine_requests_per_minute=10_000_000,
        _env_file=None,
    )
    app: FastAPI = create_app(settings)
    known, ended = seed(app.state.lab)
    yield Fuzzed(schemathesis.openapi.from_asgi("/openapi.json", app), find_or_make_token(settings), known, ended)
    shutdown_lifespans()


def seed(lab: Lab) -> tuple[dict[str, list[str]], str]:
    """Something of everything; the ids by the names of path parameters, and the run that has ended."""
    workers.beat(lab, a_beat("w-1", slots_per_gpu=2))
    running, ended, queued, stopped = (runs.launch(lab, RunCreate()).id for _ in range(4))
    for _ in (running, ended):
        assert scheduling.claim(lab, ClaimRequest(worker_id="w-1"))
    log = event("log", 2, message="a line")
    summary = event("summary", 3, values={"linear_top1": 0.5})
    attempts.post_events(lab, ended, batch(loss(1, 1), log, summary))
    attempts.end(lab, ended, AttemptEnd(attempt=1, outcome="succeeded"))
    runs.stop(lab, stopped)
    point = AxisPoint(label="1", set={"training.epochs": 1})
    study = studies.launch(lab, StudyCreate(name="study", axes=[Axis(name="epochs", points=[point])]))
    imports.import_from_server(lab, DatasetCreate(name="cifar10", source="torchvision"))
    token = tokens.create(lab, TokenCreate(name="token"))
    known = {
        "run_id": [queued, running, stopped],
        "other_id": [ended, running],
        "study_id": [study.id],
        "name": ["cifar10", "shapes", "config.json"],
        "worker_id": ["w-1"],
        "token_id": [token.id],
        "preview_id": ["abc"],
    }
    return known, ended


def examples(function: Callable[..., None], *, times: int = 1) -> Callable[[], None]:
    return hypothesis_settings(
        max_examples=times * EXAMPLES,
        phases=[Phase.generate],
        derandomize=not LONG,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )(function)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_route_answers_as_described_whatever_is_sent(fuzzed: Fuzzed, mode: GenerationMode) -> None:
    sent: set[str] = set()
    for operation in fuzzed.operations():

        @examples
        @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
        def send(case: Case, data: st.DataObject) -> None:
            fuzzed.aim(case, data.draw)
            fuzzed.send(case)
            sent.add(case.operation.label)

        with suppress(Unsatisfiable) if mode is GenerationMode.NEGATIVE else nullcontext():
            send()  # unsatisfiable: nothing of this request can be wrong
    assert len(sent) > 30


def test_no_body_breaks_a_route(fuzzed: Fuzzed) -> None:
    """Bodies that no schema had a part in: any JSON, with NaN and infinity, and any bytes."""
    paths = [(operation.method, operation.full_path) for operation in fuzzed.operations() if operation.body]
    assert len(paths) > 10
    with get_client(fuzzed.schema.app, max_stream_events=1) as http:
        http.headers["Authorization"] = f"Bearer {fuzzed.token}"

        @partial(examples, times=40)
        @given(place=st.sampled_from(paths), body=JSON.map(lambda value: json.dumps(value).encode()) | st.binary())
        def send(place: tuple[str, str], body: bytes) -> None:
            method, path = place
            for name, values in fuzzed.known.items():
                path = path.replace(f"{{{name}}}", values[0])
            for kind in ("application/json", "application/zip"):
                query = {"name": "x", "attempt": 1}
                answer = http.request(
                    method.upper(), f"http://{HOST}{path}", params=query, data=body, headers={"Content-Type": kind}
                )
                assert answer.status_code < 500 or answer.status_code in BROKER_IS_AWAY, (place, body)

        send()
