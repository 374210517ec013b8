"""The evaluations of a run: what each is asked for by, what it looks at, and what its result depends on."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from backend.contracts.config import ExperimentConfig
from tests.worker.conftest import result_of, tiny_config
from worker.pipeline.bench import accuracies, judged
from worker.pipeline.evaluations import evaluation_cost, planned
from worker.pipeline.experiment import Experiment
from worker.simclr.data.dataset import ImageDataset, Images
from worker.simclr.evaluation.features import state_sha256

CPU = torch.device("cpu")
EVERYTHING = {
    "on_z": True,
    "linear_sgd": {"epochs": 2, "batch_size": 16},
    "semi_supervised": {"label_shares": [0.1, 0.5], "epochs": [2, 1], "supervised_baseline": True},
    "transfer": {"datasets": ["other"]},
    "supervised": {"epochs": 1},
    "transformations": {"tasks": ["color", "rotation"]},
    "projection": {"images": 20, "neighbors": 3},
}


def experiment(dataset, evaluation=None, **sections):
    config = tiny_config(evaluation={**(evaluation or {})}, **{"training": {"epochs": 1}, **sections})
    config = ExperimentConfig.model_validate(config)
    return Experiment(config, dataset, CPU, identity="a", transfer={"other": (dataset, "b")})


def measured(run):
    """All that the run's evaluations find, together."""
    found = None
    for evaluation in planned(run):
        result = result_of(evaluation.measure())
        found = result if found is None else found | result
    return found


def without_training(dataset, evaluation=None, **sections):
    return measured(experiment(dataset, {"untrained_baseline": False, **(evaluation or {})}, **sections))


def test_every_section_gives_its_results_under_plain_names_and_leaves_the_net_as_it_was(tiny_images):
    run = experiment(tiny_images, EVERYTHING)
    before = state_sha256(run.learner.model)
    found = measured(run)
    assert state_sha256(run.learner.model) == before
    accuracies_of = {
        "knn", "linear", "untrained_knn", "untrained_linear", "z_knn", "z_linear",
        "linear_sgd", "z_linear_sgd", "untrained_linear_sgd", "transfer_other_linear", "untrained_transfer_other_linear",
        "semi_supervised_10pct", "semi_supervised_50pct", "supervised_10pct", "supervised_50pct", "supervised",
    }  # fmt: skip
    assert {f"{name}_top1" for name in accuracies_of} == {name for name in found.summary if name.endswith("_top1")}
    for name in accuracies_of:
        assert round(24 * found.summary[f"{name}_top1"], 6) in range(25)  # a share of all 24 test images
    assert {"alignment", "uniformity", "effective_rank", "collapsed", "z_alignment"} <= found.summary.keys()
    for task, chance in (("color", 19 / 24), ("rotation", 0.25)):
        assert found.summary[f"transformation_{task}_chance"] == pytest.approx(chance)
        assert 0 <= found.summary[f"transformation_{task}_h"] <= 1
        assert 0 <= found.summary[f"transformation_{task}_z"] <= 1
    assert found.summary["semi_supervised_10pct_labels"] == found.summary["supervised_10pct_labels"] == 6
    assert found.summary["probe_augmentation"] == "none"
    assert found.summary["linear_sgd_augmentation"] == "random crop and flip in training, none in testing"
    assert found.summary["linear_l2_chosen_on"] == "a random fifth of the training images"


def test_predictions_confusions_and_accuracies_agree(tiny_images):
    found = without_training(tiny_images, {"on_z": True})
    labels = tiny_images.test.labels
    assert found.predictions.keys() == found.details.keys() == {"knn", "linear", "z_knn", "z_linear"}
    for name, predicted in found.predictions.items():
        confusion = torch.tensor(found.details[name]["confusion_matrix"])
        assert confusion.sum(1).tolist() == labels.bincount().tolist()
        assert int(confusion.diagonal().sum()) / 24 == found.summary[f"{name}_top1"]
        right = [p == t for p, t in zip(predicted, labels.tolist(), strict=True)]
        assert sum(right) / 24 == found.summary[f"{name}_top1"]


def test_top_5_is_reported_where_there_are_more_than_ten_classes():
    scores = torch.rand(40, 12, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(40) % 12
    assert accuracies("linear", scores, labels).keys() == {"linear_top1", "linear_top5"}
    assert accuracies("linear", scores[:, :10], labels % 10).keys() == {"linear_top1"}
    assert judged("linear", scores, labels).summary == accuracies("linear", scores, labels)


def test_the_evaluation_looks_at_h_and_never_at_the_head(tiny_images):
    run = experiment(tiny_images, {"linear_sgd": {"epochs": 1, "batch_size": 16}})
    other = experiment(tiny_images, {"linear_sgd": {"epochs": 1, "batch_size": 16}})
    for parameter in other.learner.model.head.parameters():
        nn.init.normal_(parameter)
    first, second = measured(run), measured(other)
    assert first.predictions == second.predictions
    assert first.summary["feature_dim"] == run.learner.model.encoder.feature_dim == 32
    assert first.summary["z_alignment"] != second.summary["z_alignment"]


def test_nothing_is_fitted_or_chosen_on_the_test_set(tiny_images):
    other_labels = Images(tiny_images.test.pixels, (tiny_images.test.labels + 1) % 3)
    fewer = Images(tiny_images.test.pixels[:7], tiny_images.test.labels[:7])
    evaluation = {"linear_sgd": {"epochs": 2, "batch_size": 16}, "supervised": {"epochs": 1}}
    honest = without_training(tiny_images, evaluation)
    wrong = without_training(ImageDataset(tiny_images.train, other_labels, tiny_images.classes), evaluation)
    short = without_training(ImageDataset(tiny_images.train, fewer, tiny_images.classes), evaluation)
    assert honest.predictions == wrong.predictions
    assert honest.summary["linear_l2"] == wrong.summary["linear_l2"] == short.summary["linear_l2"]
    for name, predicted in short.predictions.items():
        assert predicted == honest.predictions[name][:7]


def test_the_untrained_baseline_is_the_net_as_it_was_at_step_0(tiny_images):
    run = experiment(tiny_images, EVERYTHING)
    list(run.pretrain())
    after = measured(run).summary
    at_start = measured(experiment(tiny_images, EVERYTHING)).summary
    for name in ("knn", "linear", "linear_sgd", "transfer_other_linear"):
        assert after[f"untrained_{name}_top1"] == at_start[f"untrained_{name}_top1"] == at_start[f"{name}_top1"]


def test_fine_tuning_starts_from_the_pretrained_weights_and_its_baseline_from_those_of_step_0(tiny_images):
    no_step = {"semi_supervised": {"label_shares": [0.5], "epochs": [1], "learning_rate": 1e-30}}
    evaluation = {**no_step, "supervised": None}
    evaluation["semi_supervised"]["supervised_baseline"] = True
    run, fresh = experiment(tiny_images, evaluation), experiment(tiny_images, evaluation)
    list(run.pretrain())
    weights = run.learner.model.encoder.conv1.weight

    def of(name, one):
        return next(evaluation for evaluation in planned(one) if evaluation.name == name)

    seen = []

    def note(module, _inputs):
        if isinstance(module, nn.Conv2d) and module.in_channels == 3:
            seen.append(module.weight.detach().clone())

    handle = nn.modules.module.register_module_forward_pre_hook(note)
    try:
        result_of(of("semi_supervised_50pct", run).measure())
        pretrained, seen = seen[0], []
        result_of(of("supervised_50pct", run).measure())
    finally:
        handle.remove()
    assert torch.equal(pretrained, weights)
    assert torch.equal(seen[0], fresh.learner.model.encoder.conv1.weight)


def test_a_result_depends_on_its_own_settings_on_the_weights_where_it_looks_at_them_and_on_the_images(tiny_images):
    def keys(run, weights="w"):
        return {evaluation.name: evaluation.key(run, weights) for evaluation in planned(run)}

    first = keys(experiment(tiny_images, EVERYTHING))
    assert keys(experiment(tiny_images, EVERYTHING)) == first
    further = keys(experiment(tiny_images, {**EVERYTHING, "linear_sgd": {"epochs": 3, "batch_size": 16}}))
    assert {name for name in first if first[name] != further[name]} == {"linear_sgd", "untrained_linear_sgd"}
    longer = keys(experiment(tiny_images, {**EVERYTHING, "knn_every_epochs": 0}), weights="other")
    changed = {name for name in first if first[name] != longer[name]}
    untouched = {name for name in first if name.startswith(("untrained", "supervised"))}
    assert changed == first.keys() - untouched
    elsewhere = keys(experiment(tiny_images, EVERYTHING, training={"epochs": 1, "seed": 1}))
    assert all(first[name] != elsewhere[name] for name in first)


def test_what_an_evaluation_costs_grows_with_what_it_has_to_pass_through_the_net(tiny_images):
    usual = evaluation_cost(experiment(tiny_images))
    assert usual == 2 * (64 + 24) + 2 * 24  # both nets, and two views of the test images
    sgd = evaluation_cost(experiment(tiny_images, {"linear_sgd": {"epochs": 10, "batch_size": 16}}))
    assert sgd == usual + 2 * 10 * 64
    assert evaluation_cost(experiment(tiny_images, {"supervised": {"epochs": 2}})) == usual + 3 * 2 * 64


def test_a_collapsed_representation_is_told_in_plain_words(tiny_images):
    run = experiment(tiny_images)
    with torch.no_grad():
        for parameter in run.learner.model.parameters():
            parameter.zero_()
    found = result_of(planned(run)[0].measure())
    assert found.summary["collapsed"] == 1
    assert found.warnings[0].startswith("The representation has collapsed")
    healthy = result_of(planned(experiment(tiny_images))[0].measure())
    assert healthy.summary["collapsed"] == 0
    assert healthy.warnings == ()


def test_the_map_names_images_of_the_test_set_and_shows_them(tiny_images):
    run = experiment(tiny_images, {"projection": {"images": 20, "neighbors": 3}})
    found = result_of(next(evaluation for evaluation in planned(run) if evaluation.name == "projection").measure())
    drawn = json.loads(found.files["projection.json"])
    assert drawn["classes"] == list(tiny_images.classes)
    assert len(drawn["images"]) == 20
    indices = [image["index"] for image in drawn["images"]]
    sheet = torch.from_numpy(np.array(Image.open(io.BytesIO(found.files[drawn["sheet"]["file"]]))))
    side, columns = drawn["sheet"]["side"], drawn["sheet"]["columns"]
    for place, image in enumerate(drawn["images"]):
        assert image["label"] == int(tiny_images.test.labels[image["index"]])
        assert len(image["neighbors"]) == 3
        assert set(image["neighbors"]) <= set(indices) - {image["index"]}
        top, left = place // columns * side, place % columns * side
        shown = sheet[top : top + side, left : left + side].permute(2, 0, 1)
        assert torch.equal(shown, tiny_images.test.pixels[image["index"]])
