"""What of its config a run that goes on must keep, and what it may change."""

from backend.contracts.config import ExperimentConfig

_MAY_CHANGE = {"evaluation": True, "resources": True, "training": {"epochs", "micro_batch_size"}}


def lasting_part(config: ExperimentConfig) -> str:
    """The part, as JSON, of which all steps of a pretraining must be.

    Not part of it: the evaluation, because a finished run can be evaluated further; the resources, because it may go on
    elsewhere; the epochs, which can be raised; and the micro-batch, because another one may have to fit into memory.
    """
    return config.model_dump_json(exclude=_MAY_CHANGE)
