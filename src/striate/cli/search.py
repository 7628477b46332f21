"""striate search."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from striate.base.errors import DataError, SettingsError
from striate.base.files import write_bytes
from striate.base.rundir import reporting

from . import help as h
from . import options as o
from .place import OnCluster

if TYPE_CHECKING:
    from striate.data.sample import Dataset
    from striate.search.folder import SearchDir
    from striate.search.plan import Plan


def add_to(app: typer.Typer) -> None:
    """Add this group's command."""
    app.command(short_help="Search for a network that beats a known one", rich_help_panel=h.LEARN)(search)


BESIDE_A_SEARCH = {"data", "on", "cpus_per_run", "gpus_per_run", "device", "threads", "as_json", "quiet", "debug"}


@o.takes_groups
def search(
    context: typer.Context,
    data: Annotated[str, typer.Argument(metavar="DATA|SEARCH", help="A dataset, or a search folder to go on with.")],
    budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="Time for the candidates, e.g. 30m; the study comes on top.")
    ] = None,
    candidates: Annotated[
        int | None, typer.Option(help="Most networks to try, the seed included.", min=2, max=1_000_000)
    ] = None,
    seed_model: Annotated[
        str | None, typer.Option(metavar="NAME", help="The network to beat, whose MACs are the limit by default.")
    ] = None,
    max_macs: Annotated[str | None, typer.Option(metavar="COUNT", help="Limit of multiply-adds, e.g. 20M.")] = None,
    max_parameters: Annotated[str | None, typer.Option(metavar="COUNT", help="Limit of parameters, e.g. 500k.")] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Epochs of a candidate; by default a quarter of the study's.", min=1, max=100_000)
    ] = None,
    num_train: Annotated[
        int | None,
        typer.Option(
            "--num-train", help="Training images of a candidate; by default all.", min=1, max=10**o.MAX_DIGITS
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(help="Runs of the best and of the seed network in the study.", min=1, max=1000)
    ] = 3,
    recipe: o.RecipeName = "regularized",
    seed: Annotated[
        int, typer.Option(help="Seed of the search and of its candidates.", min=-o.MAX_SEED, max=o.MAX_SEED)
    ] = 0,
    target: o.TargetName = None,
    task: o.TaskName = None,
    size: o.Size = None,
    fit: o.Fit = None,
    tuning: o.Tuning = o.Tuning(),
    set_: o.Set = None,
    name: o.Name = None,
    out: o.Out = None,
    opening: o.Opening = o.Opening(),
    allow_empty: o.AllowEmpty = False,
    on_bad: o.OnBad = "stop",
    place: OnCluster = OnCluster(),
    device: o.Device = "auto",
    threads: o.Threads = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """Search for a network that beats a known one at equal cost, and say with an interval whether it does.

    Candidates are trained briefly and judged on validation; the best one and the seed network are then trained alike
    in a study, which alone opens the test split. The same command goes on with an interrupted search in --out.

    \b
    Examples:
      striate search birds/ --budget 30m
      striate search fashion-mnist --budget 20m --num-train 10000 --epochs 4
      striate search birds/ --seed-model resnet20 --candidates 60
      striate search runs/004-search-birds
    """
    words: dict[str, Any] = {"recipe_name": o.recipe_title(recipe, set_, size, fit, tuning)}
    words |= {"seed_model": seed_model} if seed_model else {}
    words |= {"epochs": epochs, "num_train": num_train, "seeds": seeds, "seed": seed}
    more: dict[str, Any] = {"device": device, "on": place.cluster(), "progress": o.progress_for(quiet)}
    o.use_threads(threads)
    if (Path(data) / "search.json").is_file():
        if option := o.first_typed(context, besides=BESIDE_A_SEARCH):
            what = f"a search goes on with its own settings, without {option}"
            raise SettingsError(what, where=data, fix=f"leave {option} out")
        from striate.search.execute import resume_search

        try:
            found = resume_search(Path(data), **more)
        except DataError as problem:
            if "--data" in problem.fix:
                problem.fix = f"say where they are: `striate resume {shlex.quote(data)} --data PLACE`"
            raise
    else:
        from striate.search.plan import Plan

        plan = Plan(
            o.recipe_of(recipe, set_, size, fit, tuning=tuning), target=target, **words, **_ends(budget, candidates)
        )
        plan = replace(plan, **_limits(max_macs, max_parameters))
        dataset = opening.open(data, target, task, allow_empty=allow_empty)
        found = _search(dataset, plan, on_bad, {**more, "name": name or "", "out": out, "command": o.command_line()})
    give_search(found, "search", as_json)


def _ends(budget: str | None, candidates: int | None) -> dict[str, Any]:
    from striate.search.space import parse_duration

    budget = budget or (None if candidates else "30m")
    return {"budget_s": parse_duration(budget) if budget else None, "num_candidates": candidates}


def _limits(max_macs: str | None, max_parameters: str | None) -> dict[str, Any]:
    from striate.search.space import parse_count

    given = {"max_macs": max_macs, "max_parameters": max_parameters}
    return {name: parse_count(text) for name, text in given.items() if text is not None}


def _search(dataset: "Dataset", plan: "Plan", on_bad: str, more: dict[str, Any]) -> "SearchDir":
    from striate.data.check.skip import without_bad, write_skipped
    from striate.search.execute import search as carry_out

    dataset, skipped = without_bad(dataset, on_bad, more["progress"])
    found = carry_out(dataset, plan, **more)
    write_skipped(found.path, skipped)
    return found


def give_search(found: "SearchDir", command: str, as_json: bool) -> None:
    """Draw a finished search, write its study's report, and give both as the result of a command."""
    from striate.report import report_runs, report_study

    from .search_chart import chart

    picture = found.path / "search.png"
    info, result, history = found.info(), found.result() or {}, found.history()
    with reporting(found.path, "resume"):
        write_bytes(picture, chart(history, result, info["plan"]["seed_model"], info["dataset"]["name"]))
        report_runs(found.study)
        report_study(found.study)
    document: dict[str, Any] = {
        "command": command,
        "search": str(found.path),
        "best": str(found.best),
        "picture": str(picture),
    }
    document |= {"report": str(found.study.report), "result": result}
    o.give(document, _text(found, result, picture), as_json)


def _text(found: "SearchDir", result: dict[str, Any], picture: Path) -> str:
    best = result["best"]
    counts = f"{result['finished']} finished, {result['cut']} cut early, {result['diverged']} diverged"
    line = [f"  {one['number']}: {one['score']:.4f}  {one['change']}" for one in result["lineage"]]
    return "\n".join(
        [
            result["sentence"],
            "",
            f"best of {result['candidates']} candidates ({counts}): number {best['number']}, {best['genome']}",
            "how it came about:",
            *line,
            "",
            f"network {found.best}, candidates {found.path / 'candidates.csv'}, image {picture}",
            f"report of the study {found.study.report}",
        ]
    )
