"""Carry out a search: try candidates until the budget is spent, then hold the best against the seed in a study.

Candidates see training and validation images only. The search's folder holds its settings (search.json), every
candidate (candidates.jsonl, the whole state: the next candidate is a function of it), and in the end the best network
(best.toml), a table (candidates.csv), the outcome (result.json) and the study.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from striate.base.documents import RESTORE, read_json, read_json_lines, require_types
from striate.base.errors import DataError, ModelError, SettingsError
from striate.base.files import append_line, to_json, write_json, write_text
from striate.base.folder import named_folder, new_folder
from striate.base.lock import locked
from striate.base.progress import Progress
from striate.base.run_info import SearchInfo
from striate.base.rundir import StudyDir, require_ids, resumable
from striate.base.sums import break_seal, checked, seal
from striate.base.text import duration, plural
from striate.data import open_dataset
from striate.data.open import absolute_path, where_again
from striate.data.sample import Dataset
from striate.run.network import require
from striate.run.prepare import describe_dataset, is_same_data, restore_splits, split_ids
from striate.run.trial import precision_for
from striate.studies.cluster.connect import Cluster
from striate.studies.execute import study
from striate.studies.plan import Variant

from .evolve import Candidate, Rules
from .outcome import outcome
from .plan import Plan
from .space import blueprint, describe
from .toml import to_toml
from .trainer import Trainer

SCHEMA = 1
FILES = ("search.json", "split.json", "candidates.jsonl", "best.toml", "result.json")
SEED, BEST = "seed", "searched"  # the study's variants


class SearchDir:
    """Paths and documents of one search folder."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    @property
    def best(self) -> Path:
        """The best network, a blueprint file."""
        return self.path / "best.toml"

    @property
    def study(self) -> StudyDir:
        """The study of the best network and the seed."""
        return StudyDir(self.path / "study")

    def info(self) -> dict[str, Any]:
        """Return search.json.

        Raises:
            ModelError: this is no search folder, or a newer version wrote it.
        """
        path = self.path / "search.json"
        if not path.is_file():
            raise ModelError("not a search folder", where=self.path, fix="name a folder made by `striate search`")
        info: dict[str, Any] = read_json(checked(self.path, path.name), "search description", dict)
        if info.get("schema") != SCHEMA:
            raise ModelError("written by another version of Striate", where=path, fix="use that version")
        require_types(info, SearchInfo, path)
        return info

    def save_info(self, info: Mapping[str, Any]) -> None:
        """Write search.json; the folder is not sealed from here on."""
        break_seal(self.path)
        write_json(self.path / "search.json", {"schema": SCHEMA, "kind": "search", **info})

    def history(self) -> list[Candidate]:
        """Return the candidates tried so far, in order."""
        path = checked(self.path, "candidates.jsonl")
        rows = read_json_lines(path, "list of candidates")
        try:
            return [Candidate.from_json(row) for row in rows]
        except (TypeError, ValueError, KeyError) as problem:
            raise ModelError(f"not a list of candidates ({problem})", where=path, fix=RESTORE) from problem

    def result(self) -> dict[str, Any] | None:
        """Return result.json, None before the end."""
        path = checked(self.path, "result.json")
        return read_json(path, "result", dict) if path.exists() else None

    def splits(self) -> dict[str, list[str]]:
        """Return the ids of each split."""
        path = checked(self.path, "split.json")
        found: dict[str, list[str]] = read_json(path, "split list", dict)
        require_ids(found, path)
        return found


def search(
    dataset: Dataset, plan: Plan, *, name: str = "", out: Path | None = None, root: Path = Path("runs"),
    device: str = "auto", command: str = "", on: str | Cluster | None = None, progress: Progress | None = None,
) -> SearchDir:  # fmt: skip
    """Search, compare the best network with the seed, and return the folder; one that holds this search goes on.

    Args:
        on: the Ray cluster that trains the runs of the study at the end, see `studies.execute.study`; candidates are
            tried here, one after the other, since each is made from those before it.

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
    folder = SearchDir(_folder(info, out, root, name))
    cluster = Cluster.of(on)
    words = cluster.words if cluster else ()
    with cluster or nullcontext(), locked(folder.path), resumable(folder, lambda _: _kept(folder), "search", words):
        if not (folder.path / "search.json").exists():
            write_json(folder.path / "split.json", split_ids(dataset))
            folder.save_info({**info, "status": "searching"})
        return _carry_out(folder, dataset, plan, info, {"device": device, "on": cluster, "progress": progress})


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
    info = SearchDir(path).info()
    data = info["dataset"]
    if not data["where"]:
        raise ModelError("the search's data came from Python, not from a path", where=path, fix="call search() again")
    options = {name: value for name, value in data["options"].items() if value is not None}
    dataset = restore_splits(open_dataset(where or where_again(data), **options), SearchDir(path).splits())
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
    history = _explore(folder, trainer, plan, precision)
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


def _explore(folder: SearchDir, trainer: Trainer, plan: Plan, precision: str) -> list[Candidate]:
    """Try candidates until the budget is spent; each is written down before the next begins."""
    history = folder.history()
    while not history or not _is_spent(history, plan):
        found = trainer.try_next(history, precision)
        append_line(folder.path / "candidates.jsonl", to_json(found.to_json()))
        history.append(found)
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
    now, then = info["plan"], before["plan"]
    fixed = set() if before["status"] in {"searching", "interrupted"} and not (out / "study").exists() else CHANGEABLE
    for key in sorted(now):
        if now[key] != then.get(key) and key not in CHANGEABLE - fixed:
            what = f"the folder holds a search with another {key}: {then.get(key)}, now {now[key]}"
            raise SettingsError(what[:160], where=out, fix="choose another --out, or the same settings")
    return out
