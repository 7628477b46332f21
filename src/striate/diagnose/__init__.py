"""The narrator: reads a finished run's folder, says what state it is in, from which numbers, and what to try next.

Rules, no learning: each is a few lines with a named limit and its reason. Each remark has the numbers it came from.
Causes (rate, dead units, gradients, batch, labels) come before symptoms (over- and underfitting).
"""

from dataclasses import replace

from striate.base.noun import noun_of
from striate.base.rundir import RunDir

from .reading import Reading, at
from .remark import STATES, Remark, ordered
from .rules import RULES
from .symptoms import healthy, solved, symptoms

__all__ = ["STATES", "Remark", "narrate"]


def narrate(run: RunDir) -> tuple[Remark, ...]:
    """Return what there is to say of a run, the surest cause first; empty when it holds too little to judge.

    It reads run.json, history.jsonl, scores.json and predictions.csv, and nothing else. Gradients, activations and dead
    units are judged only where the run recorded them (`train.record_gradients=true`).

    Raises:
        ModelError: this is no run folder, or one of its files is broken.
    """
    found = Reading.of(run)
    noun = noun_of(at(found.info, "dataset.form"))
    return tuple(replace(one, evidence=noun.put(one.evidence), next=noun.put(one.next)) for one in _remarks(found))


def _remarks(found: Reading) -> tuple[Remark, ...]:
    if found.status == "running" or not (found.history or found.status == "diverged"):
        return ()
    if done := solved(found):
        return done
    causes = [remark for rule in RULES if (remark := rule(found))]
    remarks = ordered([*causes, *symptoms(found, causes)])
    return remarks or healthy(found)
