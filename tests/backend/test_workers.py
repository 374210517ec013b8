"""Workers, as people see them."""

from datetime import timedelta

from sqlalchemy import update

from backend.client import Client
from backend.contracts.runs import RunCreate
from backend.db.models import Worker
from backend.db.types import utc_now
from backend.services.lab import Lab
from tests.claiming import claim
from tests.examples import a_beat

BEAT = a_beat("w-1")


def silence(lab: Lab, worker_id: str, **since: float) -> None:
    with lab.database.write() as session:
        session.execute(update(Worker).where(Worker.id == worker_id).values(last_seen=utc_now() - timedelta(**since)))


def test_a_worker_is_listed_with_its_run_and_goes_with_time(client: Client, lab: Lab) -> None:
    client.beat(BEAT)
    client.beat(a_beat("w-1", gpus=1))
    (worker,) = client.workers()
    assert (worker.device, worker.alive, worker.run_ids) == ("NVIDIA H100", True, [])
    run_id = client.launch_run(RunCreate()).id
    claim(client, run_id, "w-1")
    assert client.workers()[0].run_ids == [run_id]
    silence(lab, "w-1", minutes=1)
    assert client.workers()[0].alive is False
    silence(lab, "w-1", days=2)
    assert client.workers() == []
