"""Space: which files go, when, and that those of others stay."""

from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update

from backend.client import ApiError, Client
from backend.contracts.config import DatasetConfig, ExperimentConfig, TrainingConfig
from backend.contracts.evaluation import EvaluationConfig
from backend.contracts.runs import AttemptEnd, EvaluateRequest, RunCreate
from backend.db.models import Run
from backend.db.types import utc_now
from backend.services import folders, retention
from backend.services.lab import Lab
from backend.services.reconcile import Reconciler
from backend.settings import Settings
from tests.backend.events import batch, event
from tests.backend.test_datasets import READY, upload
from tests.claiming import claim

PACK = READY.pack_sha256 or ""
ON_PETS = ExperimentConfig(
    dataset=DatasetConfig(name="pets"),
    training=TrainingConfig(batch_size=128),
    evaluation=EvaluationConfig(knn_neighbors=20),
)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"checkpoint_retention_days": 7.0})


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("content")
    return path


def ended(client: Client, lab: Lab, *, days_ago: float, config: ExperimentConfig | None = None) -> str:
    """A run that has succeeded, with a checkpoint and other files."""
    run_id = client.launch_run(RunCreate(config=config or ExperimentConfig())).id
    claim(client, run_id)
    client.post_events(run_id, batch(event("checkpoint", 1, name="ck-5-a1", step=5, sha256="0" * 64, size_bytes=9)))
    client.upload_artifact(run_id, 1, "report.json", b"{}")
    client.end_attempt(run_id, AttemptEnd(attempt=1, outcome="succeeded"))
    write(lab.settings.runs_dir / run_id / "events.jsonl")
    write(checkpoint_file(lab, run_id))
    ended_at(lab, run_id, days_ago)
    return run_id


def ended_at(lab: Lab, run_id: str, days_ago: float) -> None:
    with lab.database.write() as session:
        then = utc_now() - timedelta(days=days_ago)
        session.execute(update(Run).where(Run.id == run_id).values(finished_at=then))


def checkpoint_file(lab: Lab, run_id: str) -> Path:
    return lab.settings.runs_dir / run_id / "checkpoints" / "ck-5-a1"


def test_checkpoints_are_listed_with_size_and_time(client: Client, lab: Lab) -> None:
    (listed,) = client.checkpoints(ended(client, lab, days_ago=0))
    assert (listed.name, listed.step, listed.size_bytes) == ("ck-5-a1", 5, 9)
    assert listed.time is not None
    assert listed.time.timestamp() == 1_700_000_001
    with pytest.raises(ApiError):
        client.checkpoints("no-such")


def test_the_checkpoints_of_runs_that_ended_long_ago_go_and_nothing_else(client: Client, lab: Lab) -> None:
    old, young = ended(client, lab, days_ago=8), ended(client, lab, days_ago=6)
    assert (retention.remove_old_checkpoints(lab), retention.remove_old_checkpoints(lab)) == (1, 0)
    assert (client.checkpoints(old), len(client.checkpoints(young))) == ([], 1)
    assert not checkpoint_file(lab, old).parent.exists()
    assert checkpoint_file(lab, young).exists()
    assert (lab.settings.runs_dir / old / "events.jsonl").exists()
    assert [one.name for one in client.artifacts(old)] == ["report.json"]
    assert client.artifact(old, "report.json") == b"{}"
    assert client.run(old).state == "succeeded"


def test_without_the_setting_everything_is_kept(client: Client, lab: Lab) -> None:
    run_id = ended(client, lab, days_ago=1000)
    without = Lab(
        settings=lab.settings.model_copy(update={"checkpoint_retention_days": None}),
        database=lab.database,
        broker=lab.broker,
        hub=lab.hub,
    )
    assert retention.remove_old_checkpoints(without) == 0
    assert checkpoint_file(lab, run_id).exists()


def test_a_run_that_was_resumed_is_spared(client: Client, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it is resumed between the search and the removal."""
    waiting = client.launch_run(RunCreate()).id
    claim(client, waiting)
    client.post_events(waiting, batch(event("checkpoint", 1, name="ck-5-a1", step=5, sha256="0" * 64, size_bytes=9)))
    client.end_attempt(waiting, AttemptEnd(attempt=1, outcome="failed", error="x"))
    write(checkpoint_file(lab, waiting))
    ended_at(lab, waiting, 8)
    remove = retention._remove_checkpoints

    def resume_first(lab: Lab, run_id: str, kept: timedelta) -> bool:
        client.resume_run(run_id)
        return remove(lab, run_id, kept)

    monkeypatch.setattr(retention, "_remove_checkpoints", resume_first)
    assert retention.remove_old_checkpoints(lab) == 0
    assert checkpoint_file(lab, waiting).exists()
    assert len(claim(client, waiting).checkpoints) == 1


def test_the_reconcile_loop_removes_them(client: Client, lab: Lab) -> None:
    run_id = ended(client, lab, days_ago=8)
    Reconciler(lab)._step()
    assert not checkpoint_file(lab, run_id).exists()


def test_what_was_removed_cannot_be_evaluated_further(client: Client, lab: Lab) -> None:
    run_id = ended(client, lab, days_ago=8)
    retention.remove_old_checkpoints(lab)
    with pytest.raises(ApiError, match="clone the run") as error:
        client.evaluate_run(run_id, EvaluateRequest.model_validate({"evaluation": {"linear_sgd": {}}}))
    assert error.value.status == 409


@pytest.mark.parametrize("linked", ["run", "checkpoints"])
def test_a_link_is_not_followed(client: Client, lab: Lab, tmp_path: Path, linked: str) -> None:
    run_id = ended(client, lab, days_ago=8)
    elsewhere = write(tmp_path / "elsewhere" / "checkpoints" / "precious").parent
    folder = lab.settings.runs_dir / run_id
    folder.rename(tmp_path / "moved")
    if linked == "run":
        folder.symlink_to(elsewhere.parent)
    else:
        folder.mkdir()
        (folder / "checkpoints").symlink_to(elsewhere)
    retention.remove_old_checkpoints(lab)
    assert (elsewhere / "precious").exists()
    client.delete_run(run_id)
    assert (elsewhere / "precious").exists()
    assert not folder.is_symlink()
    assert not folder.exists()


def test_a_deleted_run_takes_its_files_and_not_those_of_another(client: Client, lab: Lab) -> None:
    doomed, other = ended(client, lab, days_ago=0), ended(client, lab, days_ago=0)
    client.delete_run(doomed)
    for root in (lab.settings.runs_dir, lab.settings.artifacts_dir):
        assert [path.name for path in root.iterdir()] == [other]
    assert checkpoint_file(lab, other).exists()


def test_a_hostile_id_removes_nothing(http: httpx.Client, client: Client, lab: Lab) -> None:
    kept = ended(client, lab, days_ago=0)
    pack = write(lab.settings.packs_dir / PACK / "images")
    for name in ("..", ".", "%2e%2e", "..%2Fpacks", "%2Fetc", "*", "a%00b"):
        for kind in ("runs", "datasets"):
            assert http.delete(f"/{kind}/{name}").status_code in {404, 405, 422}, name
    assert checkpoint_file(lab, kept).exists()
    assert pack.exists()


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/etc", "a\\b", "a\0b"])
def test_only_plain_names_are_folders(tmp_path: Path, name: str) -> None:
    kept = write(tmp_path / "root" / "a" / "b" / "file")
    with pytest.raises(ValueError, match="no name of a folder"):
        folders.remove(tmp_path / "root", name)
    assert kept.exists()


def test_what_is_not_there_need_not_be_removed(tmp_path: Path) -> None:
    folders.remove(tmp_path, "no-such", "checkpoints")


def test_a_pack_goes_with_the_last_dataset_that_has_it(client: Client, lab: Lab) -> None:
    pack = write(lab.settings.packs_dir / PACK / "images")
    for name in ("pets", "animals"):
        upload(client, name)
        client.report_import(name, READY)
    client.delete_dataset("pets")
    assert pack.exists()
    client.delete_dataset("animals")
    assert not pack.parent.exists()


def test_a_run_and_its_dataset_go_without_each_other(client: Client, lab: Lab) -> None:
    pack = write(lab.settings.packs_dir / PACK / "images")
    upload(client)
    client.report_import("pets", READY)
    first, second = (ended(client, lab, days_ago=0, config=ON_PETS) for _ in range(2))
    client.delete_run(first)
    assert pack.exists()
    client.delete_dataset("pets")
    assert not pack.exists()
    assert checkpoint_file(lab, second).exists()
    assert client.artifact(second, "report.json") == b"{}"


def test_a_report_cannot_name_a_folder_elsewhere(http: httpx.Client, client: Client) -> None:
    upload(client)
    report = READY.model_dump(mode="json") | {"pack_sha256": "../artifacts"}
    assert http.post("/worker/datasets/pets/report", json=report).status_code == 422
