"""More evaluation of a finished run, and the images of the datasets that it transfers to."""

from typing import Any

import httpx
import pytest
from sqlalchemy import update

from backend.client import ApiError, Client
from backend.contracts.datasets import DatasetStats, ImportReport
from backend.contracts.runs import AttemptEnd, DatasetLocation, EvaluateRequest, RunCreate
from backend.db.models import Run
from backend.services.lab import Lab
from tests.backend.events import batch, event
from tests.backend.marks import on_one_database
from tests.backend.zips import GOOD
from tests.claiming import claim

SHA = "a" * 64
STATS = DatasetStats(
    train_images=300,
    test_images=60,
    classes=["cats", "dogs"],
    image_size=32,
    channels=3,
    size_bytes=1000,
    broken=[],
    broken_total=0,
)


def asked(**sections: Any) -> EvaluateRequest:
    return EvaluateRequest.model_validate({"evaluation": sections})


def finished(client: Client, config: dict[str, Any] | None = None) -> str:
    """A run that wrote a checkpoint and a summary and succeeded."""
    run_id = client.launch_run(RunCreate.model_validate({"config": config or {}})).id
    attempt = claim(client, run_id).attempt
    checkpoint = event("checkpoint", 1, name="ck-570-a1", step=570, sha256=SHA, size_bytes=9)
    client.post_events(run_id, batch(checkpoint, event("summary", 2, values={"linear_top1": 0.6, "loss": 3.0})))
    client.end_attempt(run_id, AttemptEnd(attempt=attempt, outcome="succeeded"))
    return run_id


def import_dataset(client: Client, name: str, sha256: str) -> None:
    client.upload_dataset(name, iter([GOOD]))
    client.report_import(name, ImportReport(state="ready", progress=1.0, pack_sha256=sha256, stats=STATS))


def refusal(call: Any) -> ApiError:
    with pytest.raises(ApiError) as error:
        call()
    return error.value


def test_a_finished_run_is_queued_again_with_what_is_asked_for_and_keeps_the_rest(client: Client) -> None:
    run_id = finished(client, {"evaluation": {"projection": {}, "knn_neighbors": 50}})
    run = client.evaluate_run(run_id, asked(linear_sgd={"epochs": 3}, on_z=True))
    assert (run.state, run.phase, run.finished_at) == ("queued", None, None)
    evaluation = run.config.evaluation
    assert evaluation.linear_sgd is not None
    assert (evaluation.linear_sgd.epochs, evaluation.on_z) == (3, True)
    assert (evaluation.knn_neighbors, evaluation.projection is not None) == (50, True)
    assert client.transitions(run_id)[-1].reason == "more evaluation asked for"


def test_the_next_attempt_gets_the_last_checkpoint_and_its_results_join_the_summary(client: Client) -> None:
    run_id = finished(client)
    client.evaluate_run(run_id, asked(linear_sgd={}))
    claimed = claim(client, run_id)
    assert (claimed.attempt, [one.name for one in claimed.checkpoints]) == (2, ["ck-570-a1"])
    assert claimed.config.evaluation.linear_sgd is not None
    client.post_events(run_id, batch(event("summary", 1, attempt=2, values={"linear_sgd_top1": 0.62}), attempt=2))
    client.end_attempt(run_id, AttemptEnd(attempt=2, outcome="succeeded"))
    run = client.run(run_id)
    assert run.state == "succeeded"
    assert run.summary == {"linear_top1": 0.6, "loss": 3.0, "linear_sgd_top1": 0.62}


def test_earlier_crashes_do_not_count_against_the_evaluation(client: Client, lab: Lab) -> None:
    run_id = finished(client)
    with lab.database.write() as session:
        session.execute(update(Run).values(failures=lab.settings.max_attempts - 1))
    client.evaluate_run(run_id, asked(linear_sgd={}))
    claim(client, run_id)
    assert client.end_attempt(run_id, AttemptEnd(attempt=2, outcome="crashed")).state == "queued"


def test_only_a_run_that_has_succeeded_can_be_evaluated_further(client: Client) -> None:
    queued, stopped = client.launch_run(RunCreate()).id, client.launch_run(RunCreate()).id
    client.stop_run(stopped)
    for run_id in (queued, stopped):
        assert refusal(lambda: client.evaluate_run(run_id, asked(linear_sgd={}))).status == 409  # noqa: B023


def test_a_run_whose_further_evaluation_failed_can_be_asked_for_another(client: Client) -> None:
    run_id = finished(client)
    client.evaluate_run(run_id, asked(projection={"method": "umap"}))
    claim(client, run_id)
    client.end_attempt(run_id, AttemptEnd(attempt=2, outcome="failed", error="umap-learn is not installed"))
    run = client.evaluate_run(run_id, asked(projection={"method": "pca"}))
    assert (run.state, run.error) == ("queued", None)


def test_what_the_run_has_already_is_not_asked_for_twice(client: Client) -> None:
    run_id = finished(client, {"evaluation": {"linear_sgd": {}}})
    assert refusal(lambda: client.evaluate_run(run_id, asked(linear_sgd={"epochs": 90}))).status == 409


@on_one_database
@pytest.mark.parametrize(
    ("evaluation", "field"),
    [
        ({"linear_sgd": {"epochs": 0}}, "evaluation.linear_sgd.epochs"),
        ({"semi_supervised": {"label_shares": [0.1, 2]}}, "evaluation.semi_supervised.label_shares.1"),
        ({"knn": 3}, "evaluation.knn"),
        ({"semi_supervised": {"epochs": [3]}}, "evaluation"),
        ({"transfer": {"datasets": ["no-such"]}}, "evaluation.transfer.datasets"),
        ({"knn_neighbors": 6000}, "evaluation.knn_neighbors"),
    ],
)
def test_a_section_that_cannot_work_is_named(
    client: Client, http: httpx.Client, evaluation: dict[str, Any], field: str
) -> None:
    run_id = finished(client)
    answer = http.post(f"/runs/{run_id}/evaluate", json={"evaluation": evaluation})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert client.run(run_id).state == "succeeded"


def test_a_run_whose_images_were_replaced_is_not_evaluated_on_the_new_ones(client: Client) -> None:
    import_dataset(client, "pets", "1" * 64)
    small = {"dataset": {"name": "pets"}, "training": {"batch_size": 64}, "evaluation": {"knn_neighbors": 20}}
    run_id = finished(client, small)
    client.delete_dataset("pets")
    assert refusal(lambda: client.evaluate_run(run_id, asked(linear_sgd={}))).status == 422
    import_dataset(client, "pets", "2" * 64)
    error = refusal(lambda: client.evaluate_run(run_id, asked(linear_sgd={})))
    assert error.status == 409
    assert "imported anew" in error.problem.detail


def test_the_worker_is_told_where_the_datasets_to_transfer_to_are(client: Client) -> None:
    import_dataset(client, "pets", "1" * 64)
    run_id = client.launch_run(
        RunCreate.model_validate({"config": {"evaluation": {"transfer": {"datasets": ["pets"]}}}})
    ).id
    assert claim(client, run_id).transfer == [DatasetLocation(name="pets", pack_sha256="1" * 64)]


def test_a_dataset_to_transfer_to_must_be_ready_and_stays_while_a_run_needs_it(client: Client) -> None:
    client.upload_dataset("pets", iter([GOOD]))
    request = RunCreate.model_validate({"config": {"evaluation": {"transfer": {"datasets": ["pets"]}}}})
    error = refusal(lambda: client.launch_run(request))
    assert (error.status, error.problem.errors[0].field) == (422, "config.evaluation.transfer.datasets")
    client.report_import("pets", ImportReport(state="ready", progress=1.0, pack_sha256="1" * 64, stats=STATS))
    run_id = client.launch_run(request).id
    assert refusal(lambda: client.delete_dataset("pets")).status == 409
    client.stop_run(run_id)
    client.delete_dataset("pets")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"channels": 1}, "'pets' has 1 channel"),
        ({"train_images": 0, "unlabelled_images": 9}, "'pets' has no labelled"),
    ],
)
def test_a_run_cannot_transfer_to_images_without_labels_or_of_other_channels(
    client: Client, change: dict[str, int], words: str
) -> None:
    client.upload_dataset("pets", iter([GOOD]))
    stats = STATS.model_copy(update=change)
    client.report_import("pets", ImportReport(state="ready", progress=1.0, pack_sha256="1" * 64, stats=stats))
    request = RunCreate.model_validate({"config": {"evaluation": {"transfer": {"datasets": ["pets"]}}}})
    error = refusal(lambda: client.launch_run(request)).problem.errors[0]
    assert error.field == "config.evaluation.transfer.datasets"
    assert words in error.message


def test_a_resumed_run_transfers_to_the_images_that_are_there_now(client: Client) -> None:
    import_dataset(client, "pets", "1" * 64)
    request = RunCreate.model_validate({"config": {"evaluation": {"transfer": {"datasets": ["pets"]}}}})
    run_id = client.launch_run(request).id
    client.stop_run(run_id)
    client.delete_dataset("pets")
    import_dataset(client, "pets", "2" * 64)
    client.resume_run(run_id)
    assert claim(client, run_id).transfer[0].pack_sha256 == "2" * 64
