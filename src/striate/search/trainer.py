"""How a candidate is tried: everything about it that is the same for all of them."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from striate.base import device as devices
from striate.base.errors import SettingsError
from striate.base.progress import Progress
from striate.data.sample import Dataset
from striate.model.network import Network
from striate.model.walk import Walk, walk
from striate.run.network import Model, build_network
from striate.run.prepare import Prepared, prepare
from striate.run.trial import try_out
from striate.studies.one import limit_training

from .evolve import Candidate, Rules, propose
from .plan import Plan
from .space import MIN_WIDTH, NORMS, Frame, Genome, Limit, blueprint, cost, fitted, start


class Trainer:
    """The data side and the rules of a search.

    `prepared` is what candidates train with, `rules` say which come when, `seed_genome` is the seed network's where
    the space has it and the limit allows it to take part.

    Raises:
        SettingsError: the seed is no network of rows, or nothing fits the limit.
    """

    def __init__(self, dataset: Dataset, plan: Plan, device: str, progress: Progress) -> None:
        self.plan, self.progress = plan, progress
        place = devices.pick(device)
        whole = prepare(
            dataset, plan.recipe, target=plan.target, device=place, progress=progress, model=plan.seed_model
        )
        network = build_network(plan.seed_model, whole, plan.seed, progress)
        if not isinstance(network, Network):
            raise SettingsError("the seed must be a network of rows", where=plan.seed_model, fix="choose another")
        self.seed_cost = walk(network)
        self.frame, self.prepared = _frame(whole), _for_candidates(whole, plan)
        limit = _limit(plan, self.seed_cost)
        first, is_seed = _first(self.seed_cost, self.frame, plan)
        spent = getattr(self.seed_cost, limit.kind)
        self.seed_genome = first if is_seed and spent <= limit.value else None
        if self.seed_genome is None or spent < limit.value:
            first = _within(first, self.frame, limit)
        epochs = self.prepared.num_epochs
        rung = max(1, epochs // 3)
        self.rules = Rules(self.frame, limit, whole.task.monitor_mode, epochs, rung, plan.seed, first)

    def round(self, history: Sequence[Candidate], num: int) -> tuple[list[Candidate], list[Candidate]]:
        """Return what the next candidates are made from, and those of them that were not trained yet.

        Candidates come in rounds of `num`: those of a round know of each other, but not how the others did. The first
        of all is the seed network.
        """
        before = list(history[: len(history) - len(history) % num])
        found: list[Candidate] = []
        for _ in range(num):
            found.append(self._next([*before, *found]))
        return before, found[len(history) - len(before) :]

    def _next(self, history: Sequence[Candidate]) -> Candidate:
        if not history:
            spent: dict[str, Any] = {"macs": self.seed_cost.macs, "parameters": self.seed_cost.parameters}
            return Candidate(0, None, "the seed network", self.seed_genome, **spent, scores=(), status="waiting")
        made = propose(history, self.rules)
        spent = cost(made.genome, self.frame)
        return Candidate(len(history), made.parent, made.change, made.genome, **spent, scores=(), status="waiting")

    def train(self, candidate: Candidate, before: Sequence[Candidate], precision: str) -> Candidate:
        """Return a candidate with its scores, held at the rung against those that it was made from.

        Raises:
            Interrupted: Ctrl-C or SIGTERM.
        """
        begin = time.monotonic()
        genome = candidate.genome if candidate.number else None
        model: Model = blueprint(genome, self.frame) if genome else self.plan.seed_model
        tried = try_out(
            model,
            self.prepared,
            should_continue=lambda scores: self.rules.should_continue(before, scores),
            seed=self.plan.seed,
            precision=precision,
            progress=self.progress if self.progress.mode == "bar" else None,
        )
        return replace(candidate, scores=tried.scores, status=tried.ended, time_s=time.monotonic() - begin)


def _frame(whole: Prepared) -> Frame:
    settings, geometry = whole.recipe.model, whole.geometry
    shape = (geometry.size_hw, geometry.channels, whole.task.num_outputs)
    return Frame(*shape, settings.activation or "relu", settings.dropout or 0.0)


def _for_candidates(whole: Prepared, plan: Plan) -> Prepared:
    """The study's own data side and store without the test split, and with fewer epochs and training images.

    Batch size and augmentation stay those of the study, also where fewer images would ask for others.
    """
    dataset = limit_training(whole.dataset, plan.num_train, plan.target)
    dataset = dataset.with_splits({split: dataset.splits[split] for split in ("train", "val")})
    recipe = plan.recipe.model_copy(update={"augment": whole.pipeline.ops})
    epochs = plan.epochs or max(2, round(whole.num_epochs / 4))
    return replace(whole, dataset=dataset, recipe=recipe, num_epochs=epochs)


def _limit(plan: Plan, seed: Walk) -> Limit:
    """The cost limit that was asked for, or the seed's own multiply-adds."""
    if plan.max_parameters:
        return Limit("parameters", plan.max_parameters)
    return Limit("macs", plan.max_macs or seed.macs)


def _first(seed: Walk, frame: Frame, plan: Plan) -> tuple[Genome, bool]:
    """The start of the space, and whether it is the seed network itself: the same layers at the same cost."""
    settings = plan.recipe.model
    norm = settings.norm or "none"
    width = settings.width if isinstance(settings.width, int) and settings.width >= MIN_WIDTH else 32
    first = start(frame, width, norm if norm in NORMS else "batch")
    options: dict[str, Any] = {"channels": frame.channels, "outputs": frame.outputs}
    found = walk(blueprint(first, frame), size_hw=frame.size_hw, **options)
    rows = [[(one.block, one.out_shape, one.parameters, one.macs) for one in walked.layers] for walked in (found, seed)]
    return first, rows[0] == rows[1] and first.norm == norm


def _within(first: Genome, frame: Frame, limit: Limit) -> Genome:
    """The start at the largest width within the limit."""
    found = fitted(first, frame, limit)
    if found is None:
        least = cost(replace(first, width=MIN_WIDTH), frame)[limit.kind]
        what = f"the narrowest start costs {least:,} {limit.kind}, the limit is {limit.value:,}"
        raise SettingsError(what, where=f"--max-{limit.kind}", fix="raise the limit")
    return found
