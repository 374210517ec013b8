"""Datasets: uploads, imports and what their workers report."""

import base64
import json
import os
import socket
import threading
import time
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import redis
from sqlalchemy import update

from backend.client import ApiError, Client
from backend.contracts.config import DatasetConfig, ExperimentConfig, TrainingConfig
from backend.contracts.datasets import (
    KNOWN_DATASETS,
    DatasetCreate,
    DatasetStats,
    ImportJob,
    ImportReport,
    KnownDataset,
)
from backend.contracts.evaluation import EvaluationConfig
from backend.contracts.runs import RunCreate
from backend.contracts.tasks import INTERACTIVE_QUEUE
from backend.db.models import Dataset
from backend.db.types import utc_now
from backend.services import datasets, import_dispatch, imports
from backend.services.lab import Lab
from tests.backend.marks import on_one_database
from tests.backend.zips import GOOD, zip_of
from tests.claiming import claim

PACK = "5" * 64
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
READY = ImportReport(state="ready", progress=1.0, pack_sha256=PACK, stats=STATS)
SMALL = ExperimentConfig(
    dataset=DatasetConfig(name="pets"),
    training=TrainingConfig(batch_size=128),
    evaluation=EvaluationConfig(knn_neighbors=20),
)


def upload(client: Client, name: str = "pets", content: bytes = GOOD) -> None:
    client.upload_dataset(name, iter([content]))


def import_pets(client: Client) -> None:
    upload(client)
    client.report_import("pets", READY)


def uploads(lab: Lab) -> list[Path]:
    folder = lab.settings.uploads_dir
    return list(folder.iterdir()) if folder.exists() else []


def refusal(http: httpx.Client, content: bytes, name: str = "pets") -> httpx.Response:
    answer = http.post("/datasets", params={"name": name}, content=content, headers={"Content-Type": "application/zip"})
    assert answer.is_error
    assert answer.headers["content-type"] == "application/problem+json"
    return answer


def test_shapes_are_there_from_the_beginning_and_stay(client: Client) -> None:
    assert [(d.name, d.state) for d in client.datasets()] == [("shapes", "ready")]
    with pytest.raises(ApiError) as error:
        client.delete_dataset("shapes")
    assert error.value.status == 409
    with pytest.raises(ApiError) as error:
        upload(client, "shapes")
    assert error.value.status == 409


def test_an_uploaded_zip_lies_whole_in_the_data_directory_until_it_is_imported(client: Client, lab: Lab) -> None:
    pieces = [GOOD[start : start + 1000] for start in range(0, len(GOOD), 1000)]
    read = client.upload_dataset("pets", iter(pieces), image_size=24)
    assert (read.state, read.progress) == ("importing", 0.0)
    (file,) = uploads(lab)
    assert file.read_bytes() == GOOD
    client.report_import("pets", ImportReport(state="importing", progress=0.5))
    assert client.dataset("pets").progress == 0.5
    client.report_import("pets", READY)
    pets = client.dataset("pets")
    assert (pets.state, pets.pack_sha256, pets.stats) == ("ready", PACK, STATS)
    assert uploads(lab) == []


@on_one_database
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no zip"),
        (b"this is no zip", "no zip"),
        (GOOD[:-30], "no zip"),
        (GOOD[: len(GOOD) // 2], "no zip"),
        (zip_of({}), "no file"),
        (zip_of({"../outside.png": b"x"}), "../outside.png"),
        (zip_of({"cats/../../outside.png": b"x"}), "leads outside"),
        (zip_of({"/etc/passwd": b"x"}), "/etc/passwd"),
        (zip_of({"C:/windows.png": b"x"}), "leads outside"),
    ],
)
def test_what_cannot_be_imported_is_refused_and_nothing_of_it_stays(
    http: httpx.Client, lab: Lab, content: bytes, words: str
) -> None:
    answer = refusal(http, content)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "body"
    assert words in answer.json()["detail"]
    assert uploads(lab) == []
    assert [d["name"] for d in http.get("/datasets").json()] == ["shapes"]


def test_a_zip_larger_than_the_limit_is_refused_whether_it_says_so_or_not(http: httpx.Client, lab: Lab) -> None:
    large = b"x" * (lab.settings.max_upload_bytes + 1)
    assert refusal(http, large).status_code == 413
    chunked = http.post(
        "/datasets",
        params={"name": "pets"},
        content=iter([large[:500_000], large[500_000:]]),
        headers={"Content-Type": "application/zip"},
    )
    assert chunked.status_code == 413
    assert uploads(lab) == []


def test_an_upload_that_breaks_off_leaves_nothing_behind(address: str, token: str, lab: Lab) -> None:
    parts = urlsplit(address)
    with socket.create_connection((str(parts.hostname), int(parts.port or 0))) as connection:
        head = (
            f"POST /api/v1/datasets?name=pets HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/zip\r\nContent-Length: 900000\r\n\r\n"
        )
        connection.sendall(head.encode() + b"x" * 300_000)
        wait_until(lambda: len(uploads(lab)) == 1)
    wait_until(lambda: uploads(lab) == [])
    assert [d.name for d in datasets.listed(lab)] == ["shapes"]


def wait_until(condition) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


@on_one_database
@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 65, "a b"])
def test_a_name_that_is_no_name_is_refused(http: httpx.Client, lab: Lab, name: str) -> None:
    answer = refusal(http, GOOD, name)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "name"
    assert uploads(lab) == []


@on_one_database
def test_a_zip_without_a_name_is_refused(http: httpx.Client) -> None:
    answer = http.post("/datasets", content=GOOD, headers={"Content-Type": "application/zip"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "name")


def test_a_name_in_use_is_refused_and_the_dataset_stays(client: Client, lab: Lab, tmp_path: Path) -> None:
    import_pets(client)
    with pytest.raises(ApiError) as error:
        upload(client)
    assert error.value.status == 409
    with pytest.raises(ApiError) as error:
        client.import_dataset(DatasetCreate(name="pets", source="folder", path=str(tmp_path)))
    assert error.value.status == 409
    assert client.dataset("pets").pack_sha256 == PACK
    assert uploads(lab) == []


def test_of_two_uploads_of_one_name_at_once_one_is_taken(address: str, token: str, lab: Lab) -> None:
    outcomes: list[int] = []

    def one() -> None:
        with Client(address, token) as client:
            try:
                upload(client)
                outcomes.append(201)
            except ApiError as error:
                outcomes.append(error.status)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [201, 409, 409, 409]
    assert len(uploads(lab)) == 1


def test_an_import_that_failed_tells_why_and_gives_its_name_free(client: Client, lab: Lab) -> None:
    upload(client)
    client.report_import("pets", ImportReport(state="failed", error="no readable image"))
    assert (client.dataset("pets").state, client.dataset("pets").error) == ("failed", "no readable image")
    assert uploads(lab) == []
    upload(client)
    assert (client.dataset("pets").state, client.dataset("pets").error) == ("importing", None)


def test_a_folder_on_the_server_is_imported_where_it_lies(client: Client, lab: Lab, tmp_path: Path) -> None:
    folder = tmp_path / "pets"
    folder.mkdir()
    assert client.import_dataset(DatasetCreate(name="pets", source="folder", path=str(folder))).state == "importing"
    zipped = tmp_path / "pets.zip"
    zipped.write_bytes(GOOD)
    client.import_dataset(DatasetCreate(name="zipped", source="folder", path=str(zipped)))
    client.report_import("zipped", READY)
    assert zipped.exists()
    assert uploads(lab) == []


@on_one_database
@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (DatasetCreate(name="pets", source="folder"), "path"),
        (DatasetCreate(name="pets", source="folder", path="/no/such/folder"), "path"),
        (DatasetCreate(name="pets", source="folder", path="a\0b"), "path"),
        (DatasetCreate(name="pets", source="folder", path=os.devnull), "path"),
        (DatasetCreate(name="pets", source="torchvision"), "name"),
    ],
)
def test_a_source_that_is_not_there_is_refused(client: Client, request_: DatasetCreate, field: str) -> None:
    with pytest.raises(ApiError) as error:
        client.import_dataset(request_)
    assert (error.value.status, [e.field for e in error.value.problem.errors]) == (422, [field])


def test_a_run_needs_a_dataset_that_is_ready_and_large_enough(client: Client) -> None:
    upload(client)
    too_large = SMALL.model_copy(update={"training": TrainingConfig(batch_size=301)})
    with pytest.raises(ApiError, match="still being imported"):
        client.launch_run(RunCreate(config=SMALL))
    client.report_import("pets", READY)
    with pytest.raises(ApiError, match="300 training images"):
        client.launch_run(RunCreate(config=too_large))
    run = client.launch_run(RunCreate(config=SMALL))
    assert claim(client, run.id).dataset.pack_sha256 == PACK


@on_one_database
def test_what_the_images_do_not_allow_is_told_when_the_run_is_launched(client: Client) -> None:
    import_pets(client)
    for dataset, field in (
        (DatasetConfig(name="pets", pretrain_on="unlabelled"), "config.dataset.pretrain_on"),
        (DatasetConfig(name="pets", image_size=64), "config.dataset.image_size"),
    ):
        with pytest.raises(ApiError) as error:
            client.launch_run(RunCreate(config=SMALL.model_copy(update={"dataset": dataset})))
        assert [one.field for one in error.value.problem.errors] == [field]
    upload(client, "photos")
    facts = STATS.model_copy(update={"train_images": 0, "test_images": 0, "classes": [], "unlabelled_images": 500})
    client.report_import("photos", READY.model_copy(update={"pack_sha256": "7" * 64, "stats": facts}))
    photos = DatasetConfig(name="photos", pretrain_on="unlabelled")
    with pytest.raises(ApiError, match="has no labels"):
        client.launch_run(RunCreate(config=SMALL.model_copy(update={"dataset": photos})))
    off = EvaluationConfig(linear=False, untrained_baseline=False, knn_every_epochs=0)
    client.launch_run(RunCreate(config=SMALL.model_copy(update={"dataset": photos, "evaluation": off})))


def job_of(lab: Lab, broker: redis.Redis) -> ImportJob:
    """The job that a worker would take."""
    import_dispatch.send_imports(lab)
    message = json.loads(broker.lpop(INTERACTIVE_QUEUE))
    return ImportJob.model_validate(json.loads(base64.b64decode(message["body"]))[0][0])


def test_the_worker_is_told_size_share_and_channels(
    lab: Lab, client: Client, broker: redis.Redis, tmp_path: Path
) -> None:
    client.upload_dataset("pets", iter([GOOD]), image_size=48, test_share=0.3, channels=1)
    job = job_of(lab, broker)
    assert (job.source, job.image_size, job.test_share, job.channels) == ("zip", 48, 0.3, 1)
    client.import_dataset(DatasetCreate(name="folder", source="folder", path=str(tmp_path)))
    job = job_of(lab, broker)
    assert (job.source, job.image_size, job.test_share, job.channels) == ("folder", 32, 0.2, "auto")


@on_one_database
@pytest.mark.parametrize("known", KNOWN_DATASETS, ids=lambda known: known.name)
def test_a_known_dataset_is_imported_at_its_own_size_where_no_other_is_asked_for(
    lab: Lab, broker: redis.Redis, known: KnownDataset
) -> None:
    imports.import_from_server(lab, DatasetCreate(name=known.name, source="torchvision"))
    job = job_of(lab, broker)
    assert (job.name, job.source, job.image_size) == (known.name, "torchvision", known.image_size)
    datasets.remove(lab, known.name)
    imports.import_from_server(lab, DatasetCreate(name=known.name, source="torchvision", image_size=24, channels=3))
    job = job_of(lab, broker)
    assert (job.image_size, job.channels) == (24, 3)


@on_one_database
@pytest.mark.parametrize("channels", ["2", "grey", ""])
def test_channels_that_there_are_not_are_refused(http: httpx.Client, channels: str) -> None:
    answer = http.post(
        "/datasets",
        params={"name": "pets", "channels": channels},
        content=GOOD,
        headers={"Content-Type": "application/zip"},
    )
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "channels")


@on_one_database
def test_a_dataset_of_an_earlier_version_is_shown_with_what_was_known_then(client: Client, lab: Lab) -> None:
    import_pets(client)
    old = {
        "train_images": 300, "test_images": 60, "classes": ["cats", "dogs"], "image_size": 32, "channels": 3,
        "size_bytes": 1000, "broken": [], "broken_total": 0,
    }  # fmt: skip
    with lab.database.write() as session:
        session.execute(update(Dataset).values(stats=old))
    stats = client.dataset("pets").stats
    assert stats is not None
    assert (stats.train_images, stats.unlabelled_images, stats.train_counts, stats.mean) == (300, 0, [], [])
    client.launch_run(RunCreate(config=SMALL))


def test_a_dataset_in_use_cannot_be_deleted_and_one_that_is_not_goes_with_its_pack(client: Client, lab: Lab) -> None:
    import_pets(client)
    pack = lab.settings.packs_dir / PACK
    pack.mkdir(parents=True)
    run = client.launch_run(RunCreate(config=SMALL))
    with pytest.raises(ApiError) as error:
        client.delete_dataset("pets")
    assert error.value.status == 409
    client.stop_run(run.id)
    client.delete_dataset("pets")
    assert not pack.exists()
    with pytest.raises(ApiError) as error:
        client.resume_run(run.id)
    assert error.value.status == 422


def test_a_pack_that_two_datasets_share_stays_until_both_are_deleted(client: Client, lab: Lab) -> None:
    pack = lab.settings.packs_dir / PACK
    pack.mkdir(parents=True)
    for name in ("pets", "same-pets"):
        upload(client, name)
        client.report_import(name, READY)
    client.delete_dataset("pets")
    assert pack.exists()
    client.delete_dataset("same-pets")
    assert not pack.exists()


def test_a_run_cannot_go_on_with_other_images_than_it_began_with(client: Client) -> None:
    import_pets(client)
    run = client.launch_run(RunCreate(config=SMALL))
    client.stop_run(run.id)
    client.delete_dataset("pets")
    upload(client)
    client.report_import("pets", READY.model_copy(update={"pack_sha256": "6" * 64}))
    with pytest.raises(ApiError, match="imported anew") as error:
        client.resume_run(run.id)
    assert error.value.status == 409
    assert client.clone_run(run.id).state == "queued"


def test_a_report_on_an_import_that_is_gone_or_over_is_refused(client: Client) -> None:
    with pytest.raises(ApiError) as error:
        client.report_import("pets", READY)
    assert error.value.status == 404
    import_pets(client)
    client.report_import("pets", READY)  # its answer was lost
    with pytest.raises(ApiError) as error:
        client.report_import("pets", ImportReport(state="importing", progress=0.1))
    assert error.value.status == 409


def test_a_late_report_of_an_earlier_import_of_that_name_is_refused(lab: Lab, tmp_path: Path) -> None:
    request = DatasetCreate(name="pets", source="folder", path=str(tmp_path))
    imports.import_from_server(lab, request)
    with lab.database.read() as session:
        earlier = datasets.get(session, "pets").import_id
    datasets.remove(lab, "pets")
    imports.import_from_server(lab, request)
    with pytest.raises(datasets.NotFoundError):
        imports.report(lab, "pets", READY.model_copy(update={"import_id": earlier}))
    assert datasets.read(lab, "pets").state == "importing"


def test_an_import_reaches_the_queue_once_and_again_where_its_worker_fell_silent(
    lab: Lab, broker: redis.Redis, tmp_path: Path
) -> None:
    imports.import_from_server(lab, DatasetCreate(name="pets", source="folder", path=str(tmp_path)))
    for sends in range(1, import_dispatch.MAX_SENDS + 1):
        import_dispatch.send_imports(lab)
        import_dispatch.send_imports(lab)
        assert broker.llen(INTERACTIVE_QUEUE) == 1
        import_dispatch.search_imports(lab, judge=True)
        assert datasets.read(lab, "pets").state == "importing"
        broker.delete(INTERACTIVE_QUEUE)  # a worker takes it, and dies
        with lab.database.write() as session:
            session.execute(update(Dataset).values(seen_at=utc_now() - timedelta(hours=1)))
        import_dispatch.search_imports(lab, judge=True)
        assert datasets.read(lab, "pets").state == ("failed" if sends == import_dispatch.MAX_SENDS else "importing")
    assert "import it again" in (datasets.read(lab, "pets").error or "")


@on_one_database
def test_an_upload_that_nobody_imports_is_swept_away_after_an_hour(lab: Lab) -> None:
    lab.settings.uploads_dir.mkdir()
    old, new = lab.settings.uploads_dir / "old.zip", lab.settings.uploads_dir / "new.zip"
    for file in (old, new):
        file.write_bytes(b"x")
    an_hour_ago = time.time() - 3700
    os.utime(old, (an_hour_ago, an_hour_ago))
    import_dispatch.sweep_uploads(lab)
    assert uploads(lab) == [new]
