"""Texts that no database takes: refused from people by the name of the field, replaced in what a worker reports."""

import httpx
import pytest

from backend.client import Client
from backend.contracts.runs import RunCreate
from tests.claiming import claim
from tests.examples import a_beat


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/runs", {"name": "TEXT"}, "name"),
        ("/runs", {"tags": ["good", "TEXT"]}, "tags.1"),
        ("/runs", {"notes": "TEXT"}, "notes"),
        ("/runs", {"config": {"dataset": {"name": "TEXT"}}}, "config.dataset.name"),
        ("/datasets", {"name": "pets", "source": "folder", "path": "TEXT"}, "path"),
    ],
)
def test_a_person_is_told_the_field(http: httpx.Client, path: str, body: dict, field: str, text: str) -> None:
    escaped = "".join(letter if letter.isalnum() and letter.isascii() else f"\\u{ord(letter):04x}" for letter in text)
    content = httpx.Request("POST", "http://x", json=body).content.replace(b"TEXT", escaped.encode())
    answer = http.post(path, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert field in [error["field"] for error in answer.json()["errors"]]


def test_a_workers_report_is_taken_with_the_letter_replaced(http: httpx.Client, client: Client) -> None:
    client.beat(a_beat("w"))
    run = client.launch_run(RunCreate())
    attempt = claim(client, run.id, "w").attempt
    error = r'"a\u0000b\ud800c \\u0000"'
    end = f'{{"attempt": {attempt}, "outcome": "failed", "error": {error}}}'
    answer = http.post(f"/worker/runs/{run.id}/end", content=end, headers={"Content-Type": "application/json"})
    assert answer.is_success, answer.text
    assert client.run(run.id).error == "a\ufffdb\ufffdc \\u0000"
