"""A study that is not carried out: what it would train, take and be able to find."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from striate.base.progress import Progress
from striate.base.rundir import StudyDir
from striate.data.sample import Dataset
from striate.run.network import require
from striate.run.start import require_start
from striate.verdict.detectable import forecast

from .budget import expectation
from .cluster.connect import Cluster
from .execute import expected_of
from .jobs import jobs_of
from .one import Conditions
from .plan import Variant, check_names
from .scale import needs


def rehearse(
    datasets: Sequence[Dataset],
    variants: Sequence[Variant],
    *,
    seeds: int = 3,
    target: str | None = None,
    device: str = "auto",
    parallel: int | str = 1,
    on: str | Cluster | None = None,
    progress: Progress | None = None,
    **_: Any,
) -> list[str]:
    """Prepare a study as `study` does, train nothing, and say what it would do, take and be able to find."""
    check_names(variants)
    for variant in variants:
        require(variant.model)
        require_start(variant.recipe, variant.model)
    conditions = Conditions(dict(enumerate(datasets)), target, device, progress or Progress())
    folder = StudyDir(Path("not-yet"))
    jobs = jobs_of(folder, [variant.name for variant in variants], range(seeds), len(datasets))
    cluster = Cluster.of(on)
    with cluster or nullcontext():
        times_s, runs, num = expected_of(conditions, list(variants), jobs, parallel, cluster)
    said = [f"{one.name}: {one.model}, recipe {one.recipe_name}" for one in variants]
    said += [expectation(runs, times_s, num), *needs(runs, [one.free for one in times_s])]
    if len(datasets) > 1:  # the intervals of folds are those of another plan
        return said
    split = "test" if len(datasets[0].splits.get("test", ())) else "val"
    num_images = len(datasets[0].splits.get(split, ()))
    words = "test" if split == "test" else "validation"
    return [*said, *filter(None, [forecast(runs[0][1].task.monitor, seeds, num_images, words)])]
