"""A run that was stopped can be looked at: it gets the best weights so far, and can still go on."""

from striate.base.rundir import RunDir
from striate.base.tensors import write_tensors
from striate.engine import checkpoint


def with_weights(run: RunDir) -> bool:
    """Write the best weights of a run's newest checkpoint where those of a finished run are; return whether there are.

    There are none before the first epoch is done.

    Raises:
        ModelError: every checkpoint is damaged.
    """
    if not any(run.checkpoints.glob("step-*")):
        return False
    best = checkpoint.load(run.checkpoints).tensors.get("best", {})
    if best:
        write_tensors(run.weights, best)
    return bool(best)
