"""The files that runs produce."""

import hashlib

import httpx
import pytest

from backend.client import ApiError, Client
from backend.contracts.runs import AttemptEnd, RunCreate
from backend.services.lab import Lab
from tests.backend.marks import on_one_database
from tests.claiming import claim


@pytest.fixture
def run_id(client: Client) -> str:
    run_id = client.launch_run(RunCreate()).id
    claim(client, run_id)
    return run_id


def files(lab: Lab, run_id: str) -> list[str]:
    return sorted(path.name for path in (lab.settings.artifacts_dir / run_id).glob("*"))


def test_a_stored_file_comes_back_with_its_hash_and_can_be_replaced(client: Client, run_id: str) -> None:
    client.upload_artifact(run_id, 1, "report.json", b"first")
    client.upload_artifact(run_id, 1, "report.json", b"second")
    client.upload_artifact(run_id, 1, "encoder.safetensors", bytes(50_000))
    encoder, report = client.artifacts(run_id)
    assert (encoder.name, encoder.size_bytes) == ("encoder.safetensors", 50_000)
    assert report.sha256 == hashlib.sha256(b"second").hexdigest()
    assert client.artifact(run_id, "report.json") == b"second"


def test_a_file_of_a_stale_attempt_is_refused_and_nothing_of_it_stays(client: Client, lab: Lab, run_id: str) -> None:
    client.upload_artifact(run_id, 1, "report.json", b"mine")
    for attempt in (2, 1):
        with pytest.raises(ApiError) as error:
            client.upload_artifact(run_id, attempt, "report.json", b"not mine")
        assert error.value.status == 409
        assert client.artifact(run_id, "report.json") == b"mine"
        assert files(lab, run_id) == ["report.json"]
        if client.run(run_id).state == "running":
            client.end_attempt(run_id, AttemptEnd(attempt=1, outcome="succeeded"))


def test_a_file_larger_than_the_limit_is_refused_and_nothing_of_it_stays(client: Client, lab: Lab, run_id: str) -> None:
    with pytest.raises(ApiError) as error:
        client.upload_artifact(run_id, 1, "large", bytes(lab.settings.max_artifact_bytes + 1))
    assert error.value.status == 413
    assert files(lab, run_id) == []


@on_one_database
@pytest.mark.parametrize("name", ["..%2Fescaped", ".hidden", "a%00b", "x" * 101])
def test_a_name_that_leads_elsewhere_is_refused(http: httpx.Client, lab: Lab, run_id: str, name: str) -> None:
    answer = http.put(f"/worker/runs/{run_id}/artifacts/{name}", params={"attempt": 1}, content=b"x")
    assert answer.status_code in {404, 422}
    assert files(lab, run_id) == []


def test_a_file_that_is_not_there_is_not_found(client: Client, run_id: str) -> None:
    with pytest.raises(ApiError) as error:
        client.artifact(run_id, "report.json")
    assert error.value.status == 404
