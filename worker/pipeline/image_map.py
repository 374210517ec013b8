"""The map of test images: where each lies in two dimensions, its neighbours, and a sheet of thumbnails."""

import json

from backend.contracts.evaluation import ProjectionConfig
from worker.pipeline.bench import Bench, Measured
from worker.pipeline.picture import png
from worker.simclr.evaluation.projection import choose_images, nearest, plane, thumbnail_sheet
from worker.simclr.evaluation.steps import Steps, scaled

SHEET = "projection.png"


def measure_projection(bench: Bench, section: ProjectionConfig) -> Steps[Measured]:
    """The artifacts ``projection.json`` and ``projection.png``, from h of test images.

    The JSON holds ``method``, ``classes``, ``sheet`` (``file``, ``columns`` and ``side`` of a thumbnail in pixels, row by
    row in the order of ``images``) and ``images``: ``index`` in the test set, ``label``, ``x``, ``y``, and ``neighbors`` as
    indices in the test set, nearest first.
    """
    dataset, seed = bench.dataset, bench.config.training.seed
    h = yield from scaled(bench.trained.of("h", "test"), 0, 0.5)
    chosen = choose_images(len(dataset.test.labels), section.images, seed)
    features = h[chosen.to(h.device)]
    places = plane(section.method, features, seed)
    yield 0.9
    neighbors = chosen[nearest(features, section.neighbors)]
    sheet, columns, side = thumbnail_sheet(dataset.test.pixels[chosen])
    rows = zip(chosen.tolist(), dataset.test.labels[chosen].tolist(), places.tolist(), neighbors.tolist(), strict=True)
    content = {
        "method": section.method,
        "classes": list(dataset.classes),
        "sheet": {"file": SHEET, "columns": columns, "side": side},
        "images": [
            {"index": index, "label": label, "x": x, "y": y, "neighbors": nearby}
            for index, label, (x, y), nearby in rows
        ],
    }
    files = {"projection.json": json.dumps(content).encode(), SHEET: png(sheet)}
    return Measured({"projection_method": section.method}, files=files)
