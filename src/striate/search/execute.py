"""Carry out a search: try candidates until the budget is spent, then hold the best against the seed in a study.

Candidates see training and validation images only. The search's folder holds its settings (search.json), every
candidate (candidates.jsonl, the whole state: the next candidate is a function of it), and in the end the best network
(best.toml), a table (candidates.csv), the outcome (result.json) and the study.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from striate.base.errors import DataError, SettingsError
from striate.base.files import append_line, to_json, write_json, write_text
from striate.base.folder import named_folder, new_folder
from striate.base.lock import locked
from striate.base.progress import Progress
from striate.base.rundir import resumable
from striate.base.sums import seal
from striate.base.text import duration, plural
from striate.data.open import absolute_path
from striate.data.sample import Dataset
from striate.run.network import require
from striate.run.prepare import describe_dataset, is_same_data, split_ids
from striate.run.trial import precision_for
from striate.studies.cluster.connect import Cluster
from striate.studies.execute import study
from striate.studies.one import require_path
from striate.studies.plan import Variant

from .candidates import AtOnce, Here
from .evolve import Candidate, Rules
from .folder import SearchDir, reopened
from .outcome import outcome
from .plan import Plan
from .space import blueprint, describe
from .toml import to_toml
from .trainer import Trainer

FILES = ("search.json", "split.json", "candidates.jsonl", "best.toml", "result.json")
SEED, BEST = "seed", "searched"  # the study's variants


def search(
    dataset: Dataset, plan: Plan, *, name: str = "", out: Path | None = None, root: Path = Path("runs"),
    device: str = "auto", command: str = "", on: str | Cluster | None = None, progress: Progress | None = None,
) -> SearchDir:  # fmt: skip
    """Search, compare the best network with the seed, and return the folder; one that holds this search goes on.

    Args:
        on: the Ray cluster that trains candidates, `plan.at_once` of them at once, and the runs of the study at the
            end, see `studies.execute.study`.

    Raises:
        SettingsError: the folder holds another search, nothing fits the limit, or the budget was too small.
        Interrupted: stopped; the same call goes on, with the candidate that was under way.
    """
    progress = progress or Progress()
    if not isinstance(plan.seed_model, str):
        what = f"a search begins with a network of rows, not with a {type(plan.seed_model).__name__}"
        raise SettingsError(what, where="seed_model", fix="name a network or a .toml file")
    require(plan.seed_model)
    target = plan.target or next(iter(dataset.targets))
    info = {
        "command": command,
        "plan": plan.to_json(),
        "space": describe(),
        "dataset": describe_dataset(dataset, target),
    }
    cluster = Cluster.of(on)
    place = {"device": device, "on": cluster, "progress": progress}
    if cluster:
        require_path(dataset, "--on")
    with cluster or nullcontext():
        plan = replace(plan, at_once=_at_once(plan, out, cluster))
        info["plan"] = plan.to_json()
        return _in_folder(dataset, plan, info, _folder(info, out, root, name), place)


def _in_folder(dataset: Dataset, plan: Plan, info: dict[str, Any], path: Path, place: dict[str, Any]) -> SearchDir:
    folder, words = SearchDir(path), place["on"].words if place["on"] else ()
    with locked(folder.path), resumable(folder, lambda _: _kept(folder), "search", words):
        if not (folder.path / "search.json").exists():
            write_json(folder.path / "split.json", split_ids(dataset))
            folder.save_info({**info, "status": "searching"})
        return _carry_out(folder, dataset, plan, info, place)


def _at_once(plan: Plan, out: Path | None, cluster: Cluster | None) -> int:
    """How many candidates a round has: as many as when the search began, so that it goes on as it would have."""
    room = cluster.num_slots() if cluster else 1  # a candidate that wants too much is refused before a folder is begun
    if plan.at_once is None and out is not None and (out / "search.json").exists():
        return int(SearchDir(out).info()["plan"].get("at_once") or 1)
    return plan.at_once or room


def _kept(folder: SearchDir) -> str:
    return f"stopped and saved, with {plural(len(folder.history()), 'candidate')}"


def resume_search(
    path: Path,
    *,
    where: str | None = None,
    device: str = "auto",
    on: str | Cluster | None = None,
    progress: Progress | None = None,
) -> SearchDir:
    """Go on with a search from its folder alone; a finished one is left as it is. `where` its data are now, if moved.

    Raises:
        ModelError: this is no search, or its data came from Python.
    """
    dataset, info = reopened(SearchDir(path), where), SearchDir(path).info()
    if where:
        info["dataset"] |= {"where": where, "path": absolute_path(where)}
        SearchDir(path).save_info(info)
    more: dict[str, Any] = {"device": device, "on": on, "progress": progress}
    return search(dataset, Plan.from_json(info["plan"]), out=path, command=info["command"], **more)


def _carry_out(
    folder: SearchDir, dataset: Dataset, plan: Plan, info: dict[str, Any], place: dict[str, Any]
) -> SearchDir:
    progress = place["progress"]
    if folder.result() is not None:
        progress.line(f"{folder.path} is finished: nothing to do")
        return folder
    trainer = Trainer(dataset, plan, place["device"], progress)
    precision = folder.info().get("precision") or precision_for(plan.seed_model, trainer.prepared)
    info |= {"limit": asdict(trainer.rules.limit), "precision": precision, "status": "searching"}
    info |= {"epochs": trainer.rules.epochs, "rung": trainer.rules.rung}
    folder.save_info(info)
    cluster, device = place["on"], place["device"]
    with AtOnce(cluster, folder, device, progress) if cluster else nullcontext(Here(trainer)) as way:
        history = _explore(folder, trainer, plan, precision, way)
    best = trainer.rules.best(history)
    if best is None or best.genome is None:
        raise SettingsError("no candidate was finished", where=folder.path, fix="give a larger --budget")
    write_text(folder.best, to_toml(blueprint(best.genome, trainer.frame)))
    write_text(folder.path / "candidates.csv", _table(history, trainer.rules))
    folder.save_info({**info, "status": "comparing"})
    progress.line(f"best of {plural(len(history), 'candidate')}: number {best.number}; now it and the seed in a study")
    found = study(
        [dataset], _variants(folder, plan), seeds=plan.seeds, baseline=SEED, target=plan.target,
        out=folder.study.path, name="search", command=info["command"], **place,
    )  # fmt: skip
    write_json(folder.path / "result.json", outcome(history, trainer.rules, best, found.verdict() or {}))
    folder.save_info({**info, "status": "finished"})
    seal(folder.path, FILES)
    return folder


def _variants(folder: SearchDir, plan: Plan) -> list[Variant]:
    same: dict[str, Any] = {"recipe": plan.recipe, "recipe_name": plan.recipe_name}
    return [
        Variant(SEED, plan.seed_model, text=f"{plan.seed_model}, the network the search began with", **same),
        Variant(BEST, str(folder.best.resolve()), text="the best candidate of the search", **same),
    ]


def _explore(folder: SearchDir, trainer: Trainer, plan: Plan, precision: str, way: Here | AtOnce) -> list[Candidate]:
    """Try candidates until the budget is spent; each is written down as soon as it is known."""
    history = folder.history()
    while not history or not _is_spent(history, plan):
        before, waiting = trainer.round(history, plan.at_once or 1)
        num = plan.num_candidates and plan.num_candidates - len(history)
        for one in way.train(waiting[:num], before, precision):
            elapsed_s = one.time_s + (history[-1].elapsed_s if history else 0.0)
            history.append(replace(one, elapsed_s=elapsed_s))
            append_line(folder.path / "candidates.jsonl", to_json(history[-1].to_json()))
            trainer.progress.line(_line(history, trainer.rules, plan))
    return history


def _is_spent(history: Sequence[Candidate], plan: Plan) -> bool:
    is_late = plan.budget_s is not None and history[-1].elapsed_s >= plan.budget_s
    return is_late or (plan.num_candidates is not None and len(history) >= plan.num_candidates)


def _line(history: Sequence[Candidate], rules: Rules, plan: Plan) -> str:
    """Return a candidate as a line of progress."""
    one, best = history[-1], max(history, key=rules.rank)
    score, top = rules.score(one), rules.score(best)
    left = []
    if plan.budget_s is not None:
        left.append(f"{duration(max(0.0, plan.budget_s - one.elapsed_s))} left")
    if plan.num_candidates is not None:
        left.append(f"{plan.num_candidates - len(history)} to go")
    of = f"{one.macs / 1e6:.1f} M MACs, {one.parameters / 1e3:,.0f} k parameters"
    what = f"{'n/a' if score is None else f'{score:.4f}'} ({one.status} after {plural(len(one.scores), 'epoch')})"
    top_text = f"best {'n/a' if top is None else f'{top:.4f}'} (number {best.number})"
    return f"candidate {one.number}: {of}, {what}, {top_text}; {', '.join(left)}; {one.change}"


def _table(history: Sequence[Candidate], rules: Rules) -> str:
    """Return candidates.csv."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["number", "parent", "macs", "parameters", "score", "epochs", "status", "time_s", "change", "genome"]
    )
    for one in history:
        score, genome = rules.score(one), one.genome or "outside the space"
        numbers = [one.number, "" if one.parent is None else one.parent, one.macs, one.parameters]
        shown = ["" if score is None else f"{score:.6g}", len(one.scores), one.status, f"{one.time_s:.2f}"]
        writer.writerow([*numbers, *shown, one.change, genome])
    return text.getvalue()


CHANGEABLE = {"budget_s", "num_candidates"}  # until the test split is open


def _folder(info: Mapping[str, Any], out: Path | None, root: Path, name: str) -> Path:
    """Return the folder: a new one, or the one that holds this search."""
    if out is None:
        return new_folder(root, name or f"search-{Path(info['dataset']['name']).name}")
    if not (out / "search.json").exists():
        return named_folder(out)
    before = SearchDir(out).info()
    if not is_same_data(before["dataset"], info["dataset"]):
        raise DataError("the folder holds a search on other data", where=out, fix="choose another --out")
    now, then = info["plan"], {"at_once": 1, **before["plan"]}
    fixed = set() if before["status"] in {"searching", "interrupted"} and not (out / "study").exists() else CHANGEABLE
    for key in sorted(now):
        if now[key] != then.get(key) and key not in CHANGEABLE - fixed:
            what = f"the folder holds a search with another {key}: {then.get(key)}, now {now[key]}"
            raise SettingsError(what[:160], where=out, fix="choose another --out, or the same settings")
    return out
