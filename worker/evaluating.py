"""The evaluating part of a run: what is done already is kept in ``evaluations/`` of the run directory, the rest is done.

After each evaluation its results are written to the log and to ``evaluations/NAME.json`` with the hash of all that they
depend on. So an evaluation that was stopped or killed goes on after the last one finished, and one that is asked for
later repeats nothing.
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from worker.artifacts import Summary, write_artifacts
from worker.event_log import EventLog, SilentLog
from worker.pipeline.bench import Measured
from worker.pipeline.evaluations import planned
from worker.pipeline.experiment import Experiment
from worker.simclr.disk import whole_file
from worker.simclr.evaluation.features import state_sha256
from worker.simclr.evaluation.steps import scaled


def evaluate_run(experiment: Experiment, run_dir: Path, log: EventLog | SilentLog) -> Iterator[float]:
    """Do the evaluations that the config asks for and write events and artifacts; yields the share of the work done.

    Whoever drives it may stop between two yields: what is finished is kept.
    """
    model = experiment.learner.model
    weights = state_sha256(model)
    summary: Summary = experiment.facts | {"encoder_sha256_before_evaluation": state_sha256(model.encoder)}
    log.write("summary", values=summary)
    evaluations = planned(experiment)
    total, done = sum(evaluation.cost for evaluation in evaluations), 0.0
    found = Measured()
    for evaluation in evaluations:
        key, share = evaluation.key(experiment, weights), evaluation.cost / total
        file = run_dir / "evaluations" / f"{evaluation.name}.json"
        measured = read_kept(file, key)
        if measured is None:
            measured = yield from scaled(evaluation.measure(), done, share)
            keep(file, key, measured)
        for warning in measured.warnings:
            log.write("log", level="warning", message=warning)
        log.write("summary", values=measured.summary)
        if evaluation.name == "trained":
            log.write("metrics", step=experiment.step, epoch=experiment.config.training.epochs, values=_curve(measured))
        found |= measured
        done += share
        yield min(1.0, done)
    after: Summary = {"encoder_sha256_after_evaluation": state_sha256(model.encoder)}
    log.write("summary", values=after)
    summary |= found.summary | after
    files = found.files | {
        "evaluation.json": _details(experiment, found),
        "predictions.json": _predictions(experiment, found),
    }
    for artifact in write_artifacts(run_dir / "artifacts", model.encoder, experiment.config, summary, files):
        log.write("artifact", **artifact)
    yield 1.0


def read_kept(file: Path, key: str) -> Measured | None:
    """What was measured before, if it depends on the very same things; None otherwise."""
    if not file.is_file():
        return None
    try:
        kept = json.loads(file.read_bytes())
    except ValueError:
        return None
    if kept["key"] != key:
        return None
    measured = kept["measured"]
    files = {name: base64.b64decode(content) for name, content in measured["files"].items()}
    return Measured(**(measured | {"files": files, "warnings": tuple(measured["warnings"])}))


def keep(file: Path, key: str, measured: Measured) -> None:
    """Write what was measured, whole or not at all."""
    content = asdict(measured)
    content["files"] = {name: base64.b64encode(data).decode() for name, data in measured.files.items()}
    with whole_file(file) as draft:
        draft.write(json.dumps({"key": key, "measured": content}).encode())


def _curve(measured: Measured) -> Summary:
    """The last point of the curve that is drawn while the run trains."""
    return {"knn_top1": measured.summary["knn_top1"]}


def _details(experiment: Experiment, found: Measured) -> bytes:
    """``evaluation.json``: names of the classes, and for each classifier its confusion matrix (rows: the true class) and accuracy of each class."""
    return json.dumps({"classes": list(experiment.dataset.classes), "classifiers": found.details}).encode()


def _predictions(experiment: Experiment, found: Measured) -> bytes:
    """``predictions.json``: what each classifier took every test image for.

    ``test_set`` names the test images (the pack's hash, or what was rendered): two runs can be compared where it is
    the same. ``classes`` are names, ``labels`` the true classes in the order of the test set, and ``predictions`` holds
    for each classifier (knn, linear, linear_sgd, ...) its classes in the same order.
    """
    dataset = experiment.dataset
    rendered = f"{experiment.config.dataset.name} at {experiment.config.dataset.image_size} pixels"
    content = {
        "test_set": experiment.identity or rendered,
        "classes": list(dataset.classes),
        "labels": dataset.test.labels.tolist(),
        "predictions": found.predictions,
    }
    return json.dumps(content).encode()
