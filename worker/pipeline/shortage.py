"""What to say and to do when a training step needs more memory than there is."""

from backend.contracts.changes import RunChanges
from worker.pipeline.errors import ShortageError
from worker.pipeline.experiment import Experiment, device_name
from worker.simclr.training.memory import memory_sizes
from worker.simclr.training.micro_batch import halved


def shortage(experiment: Experiment, error: BaseException) -> ShortageError:
    """The sizes involved, and as remedy half of the micro-batch that did not fit, as far as it can be halved."""
    config, share, failed = experiment.config, experiment.share, experiment.micro_batch_size
    of = f" of {share}" if failed < share else ""
    each = " on each of several GPUs" if experiment.team.size > 1 else ""
    size, channels = config.dataset.image_size, experiment.pixels.shape[1]
    said = (
        f"Out of memory on {device_name(experiment.device)} in a training step of {failed}{of} images ({2 * failed} "
        f"views) at once{each}, {size} x {size} x {channels}, through {config.encoder.arch} of width "
        f"{config.encoder.width:g} in {experiment.recipe.precision}"
    )
    asked, free = memory_sizes(error)
    if asked:
        said += f": {asked} asked for" + (f", {free} free" if free else "")
    smaller = halved(share, failed)
    if smaller is None:
        return ShortageError(
            f"{said}. Fewer images at once are not possible: lower encoder.width, encoder.arch, dataset.image_size or "
            "training.batch_size, or use training.precision 'bf16'.",
            None,
        )
    return ShortageError(
        f"{said}. Set training.micro_batch_size to {smaller} and resume: loss and gradient stay those of the whole "
        "batch, batch norm sees a micro-batch.",
        RunChanges(micro_batch_size=smaller),
    )
