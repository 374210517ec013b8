"""Names of Celery tasks and queues: the backend sends by name, the worker registers under the same name.

Also where the embedded broker listens, which both need to know.
"""

import hashlib
import os
import tempfile
from pathlib import Path

TRAIN_RUN = "simclr_lab.train_run"
"""A hint that a run waits. Argument: the run's id, for the log only: the worker asks the backend for the next run."""
IMPORT_DATASET = "simclr_lab.import_dataset"
"""Argument: an ImportJob as a JSON object."""
PREVIEW_VIEWS = "simclr_lab.preview_views"
"""Argument: a PreviewJob as a JSON object."""

RUNS_QUEUE = "runs"
"""Long tasks, one at a time on each worker."""
INTERACTIVE_QUEUE = "interactive"
"""Short tasks that a person waits for: they must not stand behind a run of hours."""


def embedded_broker_socket(home: Path) -> Path:
    """Where the embedded Valkey listens: in the data directory, or, as a socket's path is limited to about 100
    bytes, in the temporary directory under a name that follows from the data directory.
    """
    inside = home.absolute() / "valkey.sock"
    if len(os.fsencode(inside)) <= 100:
        return inside
    digest = hashlib.sha256(os.fsencode(home.absolute())).hexdigest()[:24]
    return Path(tempfile.gettempdir()) / f"simclr-lab-{digest}.sock"


def embedded_broker_url(home: Path) -> str:
    """The Celery broker URL of the embedded Valkey of this data directory."""
    return f"redis+socket://{embedded_broker_socket(home)}"
