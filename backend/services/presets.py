"""Ready-made studies and runs to start from."""

from backend.contracts.augmentation import AugmentationConfig, AugmentationOp, BlurOp, ColorOp, CropOp, FlipOp
from backend.contracts.config import (
    DatasetConfig,
    EncoderConfig,
    ExperimentConfig,
    LossConfig,
    OptimizerConfig,
    TrainingConfig,
)
from backend.contracts.evaluation import EvaluationConfig, LinearSgdConfig
from backend.contracts.studies import Axis, AxisPoint, Preset, StudyCreate

SMALL = EncoderConfig(arch="resnet18", width=0.25, stem="stride2")
PAPER_LARS = OptimizerConfig(
    name="lars", learning_rate=0.3, lr_scaling="linear", weight_decay=1e-6, momentum=0.9, warmup_epochs=10
)
TINY = SMALL.model_copy(update={"width": 0.125})

# Chosen so that six runs end within five minutes on two cores and still tell the three augmentations apart.
STARTER_CROP, STARTER_COLOR = CropOp(min_area=0.3), ColorOp(strength=0.5)
STARTER = ExperimentConfig(
    dataset=DatasetConfig(name="shapes", train_subset=4000),
    augmentation=AugmentationConfig(ops=(STARTER_CROP, STARTER_COLOR)),
    encoder=TINY,
    loss=LossConfig(temperature=0.2),
    optimizer=OptimizerConfig(learning_rate=2.0, lr_scaling="linear", warmup_epochs=1),
    training=TrainingConfig(epochs=10, batch_size=128, checkpoint_every_epochs=5),
    evaluation=EvaluationConfig(knn_every_epochs=5),
)


def _augmentation(label: str, *ops: AugmentationOp) -> AxisPoint:
    return AxisPoint(label=label, set={"augmentation.ops": [op.model_dump(mode="json") for op in ops]})


def _batch_size(size: int) -> AxisPoint:
    return AxisPoint(label=str(size), set={"training.batch_size": size})


PRESETS: tuple[Preset, ...] = (
    Preset(
        id="starter",
        title="Starter study",
        description="Crop, colour, and both together, by two batch sizes, on rendered shapes: six small nets that show "
        "the paper's main point (section 3.1) in under five minutes on two processor cores.",
        study=StudyCreate(
            name="Starter study",
            base=STARTER,
            axes=[
                Axis(
                    name="augmentation",
                    points=[
                        _augmentation("crop", STARTER_CROP),
                        _augmentation("color", STARTER_COLOR),
                        _augmentation("crop + color", STARTER_CROP, STARTER_COLOR),
                    ],
                ),
                Axis(name="batch size", points=[_batch_size(64), _batch_size(128)]),
            ],
            seeds=[0],
        ),
    ),
    Preset(
        id="smoke",
        title="Smoke test",
        description="A tiny net, two epochs on rendered shapes: shows in seconds that everything works.",
        config=ExperimentConfig(
            dataset=DatasetConfig(name="shapes", train_subset=1024),
            encoder=TINY,
            training=TrainingConfig(epochs=2, batch_size=128),
        ),
    ),
    Preset(
        id="small",
        title="Small and quick",
        description="ResNet-18 at a quarter of its width, 30 epochs: a first look at a few thousand images in "
        "minutes on two processor cores.",
        config=ExperimentConfig(encoder=SMALL),
    ),
    Preset(
        id="cifar10-paper",
        title="CIFAR-10 as in the paper",
        description="Appendix B.9: ResNet-50 with the CIFAR stem, colour 0.5, no blur, temperature 0.5, LARS with learning "
        "rate 1.0 and weight decay 1e-6, 1000 epochs at batch 1024, linear evaluation by SGD. For a GPU: hours.",
        config=ExperimentConfig(
            dataset=DatasetConfig(name="cifar10"),
            encoder=EncoderConfig(arch="resnet50"),
            loss=LossConfig(temperature=0.5),
            optimizer=PAPER_LARS.model_copy(update={"learning_rate": 1.0}),
            training=TrainingConfig(epochs=1000, batch_size=1024, checkpoint_every_epochs=10),
            evaluation=EvaluationConfig(knn_every_epochs=10, linear_sgd=LinearSgdConfig()),
        ),
    ),
    Preset(
        id="imagenet-paper",
        title="ImageNet as in the paper",
        description="Section 2 and appendix A: ResNet-50 at 224 pixels, colour 1.0 and blur, temperature 0.1, LARS with "
        "learning rate 0.3 x batch/256, 100 epochs at batch 4096, linear evaluation by SGD. Import ImageNet as "
        "'imagenet' first; on few GPUs set a micro-batch size.",
        config=ExperimentConfig(
            dataset=DatasetConfig(name="imagenet", image_size=224),
            augmentation=AugmentationConfig(ops=(CropOp(), FlipOp(), ColorOp(strength=1.0), BlurOp())),
            encoder=EncoderConfig(arch="resnet50"),
            loss=LossConfig(temperature=0.1),
            optimizer=PAPER_LARS,
            training=TrainingConfig(epochs=100, batch_size=4096, checkpoint_every_epochs=1),
            evaluation=EvaluationConfig(knn_every_epochs=10, linear=False, linear_sgd=LinearSgdConfig(batch_size=4096)),
        ),
    ),
)
