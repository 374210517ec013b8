"""Evaluations that train a net with labels: fine-tuning on few of them, and the supervised baseline."""

from backend.contracts.evaluation import SemiSupervisedConfig, SupervisedConfig
from worker.pipeline.bench import Bench, Measured, judged
from worker.simclr.data.dataset import Images
from worker.simclr.data.rows import choose
from worker.simclr.evaluation.features import extract_features
from worker.simclr.evaluation.labels import class_balanced
from worker.simclr.evaluation.steps import Steps, scaled
from worker.simclr.evaluation.supervised import CROP_AND_FLIP, Classifier, SupervisedRecipe, train_with_labels


def few_labels_name(share: float, *, pretrained: bool) -> str:
    """``semi_supervised_1pct``, or ``supervised_1pct`` for the net that was not pretrained."""
    return f"{'semi_supervised' if pretrained else 'supervised'}_{100 * share:g}pct"


def measure_few_labels(
    bench: Bench, section: SemiSupervisedConfig, share: float, epochs: int, *, pretrained: bool
) -> Steps[Measured]:
    """Accuracy of the whole net after fine-tuning on a class-balanced share of the labels (appendix B.5, Table 7).

    Without ``pretrained`` it starts from the weights of step 0, on the very same labels and with the same recipe.
    """
    name = few_labels_name(share, pretrained=pretrained)
    train = bench.dataset.train
    chosen = class_balanced(train.labels, share, classes=bench.classes, seed=bench.config.training.seed)
    recipe = SupervisedRecipe(
        name="fine-tuning (evaluation.semi_supervised)",
        ops=CROP_AND_FLIP,
        image_size=bench.experiment.recipe.image_size,
        epochs=epochs,
        batch_size=section.batch_size,
        base_learning_rate=section.learning_rate,
        weight_decay=0.0,
        precision=bench.experiment.recipe.precision,
        seed=bench.seed_for(f"labels {share:g}"),
    )
    labelled = bench.near(Images(choose(train.pixels, chosen), train.labels[chosen]))
    measured = yield from _trained(bench, bench.classifier(pretrained=pretrained), labelled, recipe, name)
    return measured | Measured({f"{name}_labels": len(chosen)})


def measure_supervised(bench: Bench, section: SupervisedConfig) -> Steps[Measured]:
    """Accuracy of the same net, trained from scratch with all labels under the pretraining's augmentation and batch."""
    recipe = SupervisedRecipe(
        name="the supervised baseline (evaluation.supervised)",
        ops=bench.experiment.recipe.ops,
        image_size=bench.experiment.recipe.image_size,
        epochs=section.epochs or bench.config.training.epochs,
        batch_size=bench.config.training.batch_size,
        base_learning_rate=section.learning_rate,
        weight_decay=section.weight_decay,
        precision=bench.experiment.recipe.precision,
        seed=bench.seed_for("supervised"),
    )
    return (yield from _trained(bench, bench.classifier(pretrained=False), bench.train, recipe, "supervised"))


def _trained(bench: Bench, net: Classifier, images: Images, recipe: SupervisedRecipe, name: str) -> Steps[Measured]:
    """Train, and judge on every test image, un-augmented."""
    yield from scaled(train_with_labels(net, images, recipe), 0, 0.9)
    test = bench.dataset.test
    extracting = extract_features(net, test.pixels, image_size=recipe.image_size, precision=recipe.precision)
    logits = yield from scaled(extracting, 0.9, 0.1)
    return judged(name, logits, test.labels)
