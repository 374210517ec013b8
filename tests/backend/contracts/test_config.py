import math

import pytest
from pydantic import ValidationError

from backend.contracts.augmentation import AugmentationConfig
from backend.contracts.config import ExperimentConfig


def test_a_dataset_name_alone_is_a_complete_config():
    config = ExperimentConfig.model_validate({"dataset": {"name": "shapes"}})
    assert config.augmentation.label == "crop + flip + color 0.5"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"training": {"batch_size": 1}}, "training.batch_size"),
        ({"training": {"batch_size": 1_000_000_000}}, "training.batch_size"),
        ({"optimizer": {"learning_rate": math.nan}}, "optimizer.learning_rate"),
        ({"optimizer": {"learning_rate": math.inf}}, "optimizer.learning_rate"),
        ({"training": {"epoch": 3}}, "training.epoch"),
        ({"training": {"micro_batch_size": 0}}, "training.micro_batch_size"),
        ({"training": {"micro_batch_size": "most"}}, "training.micro_batch_size"),
        ({"dataset": {"name": "../etc/passwd"}}, "dataset.name"),
    ],
)
def test_a_bad_value_is_refused_by_name(change, field):
    with pytest.raises(ValidationError) as caught:
        ExperimentConfig.model_validate(change)
    assert field in {".".join(map(str, error["loc"])) for error in caught.value.errors()}


MISFITS = [
    ({"dataset": {"train_subset": 100}, "training": {"batch_size": 200}}, "no full batch"),
    ({"training": {"epochs": 5}, "optimizer": {"warmup_epochs": 6}}, "never reach its peak"),
    ({"training": {"batch_size": 100}, "resources": {"gpus": 3}}, "3 GPUs cannot share equally"),
    ({"training": {"batch_size": 100, "micro_batch_size": 33}}, r"does not divide training.batch_size \(100\)"),
    (
        {"training": {"batch_size": 96, "micro_batch_size": 32}, "resources": {"gpus": 2}},
        "does not divide the 48 images of each GPU",
    ),
    ({"training": {"micro_batch_size": 1}}, "batch norm needs at least 2 images"),
    ({"head": {"kind": "linear", "hidden_dim": 64}}, "head.hidden_dim has no meaning with head.kind 'linear'"),
    ({"head": {"kind": "none", "hidden_dim": 64}}, "head.hidden_dim has no meaning with head.kind 'none'"),
    ({"head": {"kind": "linear", "hidden_layers": 2}}, "head.hidden_layers has no meaning"),
    ({"head": {"kind": "none", "output_dim": 64}}, "head.output_dim has no meaning"),
    ({"head": {"kind": "none", "batch_norm": "all"}}, "head.batch_norm has no meaning"),
    ({"encoder": {"arch": "timm:resnet18", "width": 2}}, "encoder.width cannot change a net of timm"),
    ({"encoder": {"arch": "timm:resnet18", "zero_init_residual": True}}, "encoder.zero_init_residual is for our"),
    ({"encoder": {"arch": "timm:resnet18", "stem": "cifar"}}, "encoder.stem is for our ResNets"),
    ({"loss": {"semi_hard": True}}, "loss.semi_hard is for NT-Logistic and margin triplet"),
    ({"optimizer": {"name": "lars", "nesterov": True}}, "optimizer.nesterov is for SGD: switch it off for 'lars'"),
    ({"optimizer": {"name": "adamw", "nesterov": True}}, "optimizer.nesterov is for SGD: switch it off for 'adamw'"),
    ({"optimizer": {"nesterov": True, "momentum": 0}}, "optimizer.nesterov needs a momentum"),
    ({"augmentation": {"ops": [{"name": "blur"}]}, "dataset": {"image_size": 8}}, "augmentation.ops holds blur"),
    ({"evaluation": {"semi_supervised": {"epochs": [60]}}}, "holds 1 numbers for 2 label_shares"),
    ({"evaluation": {"transfer": {"datasets": ["shapes"]}}}, "'shapes', on which the run pretrains"),
    ({"evaluation": {"on_z": True}, "head": {"kind": "none"}}, "evaluation.on_z has no meaning"),
]


@pytest.mark.parametrize(("change", "reason"), MISFITS, ids=[reason for _, reason in MISFITS])
def test_parts_that_do_not_fit_together_are_refused_with_the_reason(change, reason):
    with pytest.raises(ValidationError, match=reason):
        ExperimentConfig.model_validate(change)


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": {"train_subset": 200}, "training": {"batch_size": 200}},
        {"dataset": {"train_subset": 100, "pretrain_on": "all"}, "training": {"batch_size": 200}},
        {"training": {"epochs": 6}, "optimizer": {"warmup_epochs": 6}},
        {"training": {"batch_size": 96, "micro_batch_size": 24}, "resources": {"gpus": 2}},
        {"head": {"kind": "linear", "output_dim": 64, "batch_norm": "all"}},
        {"head": {"kind": "none"}},
        {"head": {"hidden_layers": 3, "hidden_dim": 2048, "output_dim": 2048, "batch_norm": "none"}},
        {"encoder": {"arch": "timm:resnet50.a1_in1k"}},
        {"encoder": {"arch": "resnet152", "width": 4, "zero_init_residual": True}},
        {"loss": {"name": "nt_logistic", "semi_hard": True}},
        {"loss": {"name": "margin_triplet", "semi_hard": True, "normalize": False, "margin": 0}},
        {"optimizer": {"name": "sgd", "nesterov": True}},
        {"augmentation": {"ops": [{"name": "blur"}]}, "dataset": {"image_size": 16}},
        {"evaluation": {"semi_supervised": {}, "transfer": {"datasets": ["cifar10"]}, "on_z": True}},
    ],
    ids=str,
)
def test_parts_that_fit_together_are_taken(change):
    ExperimentConfig.model_validate(change)


@pytest.mark.parametrize("arch", ["resnet19", "timm:", "timm:a/b", "hf-hub:net", "ResNet18"])
def test_an_encoder_that_is_none_is_refused_with_those_there_are(arch):
    with pytest.raises(ValidationError, match="resnet152 or 'timm:NAME'"):
        ExperimentConfig.model_validate({"encoder": {"arch": arch}})


@pytest.mark.parametrize(
    ("size", "stem", "expected"),
    [(32, "auto", "cifar"), (64, "auto", "cifar"), (65, "auto", "imagenet"), (32, "imagenet", "imagenet")],
)
def test_the_stem_goes_by_the_size_of_the_images_unless_it_is_chosen(size, stem, expected):
    config = ExperimentConfig.model_validate({"dataset": {"image_size": size}, "encoder": {"stem": stem}})
    assert config.encoder_stem == expected


@pytest.mark.parametrize(
    ("head", "expected"), [({}, 128), ({"output_dim": 32}, 32), ({"kind": "linear"}, 128), ({"kind": "none"}, None)]
)
def test_z_has_128_dimensions_unless_it_is_h_or_another_number_is_chosen(head, expected):
    assert ExperimentConfig.model_validate({"head": head}).head.z_dim == expected


def test_linear_and_square_root_scaling_meet_at_4096():
    def peak(scaling: str, batch: int) -> float:
        return ExperimentConfig.model_validate(
            {"training": {"batch_size": batch}, "optimizer": {"learning_rate": 0.3, "lr_scaling": scaling}}
        ).peak_learning_rate

    assert peak("linear", 4096) == pytest.approx(4.8)
    assert peak("sqrt", 4096) == pytest.approx(4.8)
    assert peak("sqrt", 1024) == pytest.approx(0.075 * math.sqrt(1024))
    assert peak("linear", 512) == pytest.approx(0.6)


def test_every_field_is_described_and_has_a_default():
    schema = ExperimentConfig.model_json_schema()
    for name, section in schema["$defs"].items():
        for field, spec in section["properties"].items():
            assert "default" in spec or "const" in spec, f"{name}.{field} has no default"
            assert "description" in spec or "const" in spec, f"{name}.{field} has no description"


@pytest.mark.parametrize(
    ("ops", "branches", "label"),
    [
        ([], "both", "none"),
        (["crop", "flip", "color"], "both", "crop + flip + color 0.5"),
        (["crop", "rotate", "motion_blur"], "both", "crop + rotate + motion blur"),
        ([{"name": "color", "strength": 0.125}], "one", "color 0.125 (one view)"),
        ([], "one", "none (one view)"),
        ([{"name": "autoaugment", "policy": "cifar10"}], "both", "autoaugment cifar10"),
        ([{"name": "jitter", "strength": 1}], "both", "jitter 1"),
        ([{"name": "jitter", "hue": 0}], "both", "jitter 0.5, hue 0"),
        (
            [{"name": "jitter", "brightness": 0.4, "contrast": 0.4, "saturation": 0.2, "hue": 0.1}],
            "both",
            "jitter brightness 0.4, contrast 0.4, saturation 0.2, hue 0.1",
        ),
    ],
)
def test_a_composition_is_named_in_a_few_words(ops, branches, label):
    ops = [{"name": op} if isinstance(op, str) else op for op in ops]
    assert AugmentationConfig.model_validate({"ops": ops, "branches": branches}).label == label


@pytest.mark.parametrize(
    ("op", "low", "high"),
    [
        ("crop", "min_area", "max_area"),
        ("crop", "min_ratio", "max_ratio"),
        ("blur", "min_sigma", "max_sigma"),
        ("cutout", "min_size", "max_size"),
        ("noise", "min_sigma", "max_sigma"),
        ("motion_blur", "min_length", "max_length"),
    ],
)
def test_a_range_whose_ends_are_swapped_is_refused(op, low, high):
    with pytest.raises(ValidationError, match=f"{low} must not exceed {high}"):
        AugmentationConfig.model_validate({"ops": [{"name": op, low: 0.2, high: 0.1}]})
    AugmentationConfig.model_validate({"ops": [{"name": op, low: 0.2, high: 0.2}]})
