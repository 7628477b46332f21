"""The runs beside each other: their scores, their curves, and where their recipes differ."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from striate.base.errors import ModelError, SettingsError, UserError
from striate.base.files import write_text
from striate.base.numbers import number
from striate.base.rundir import RunDir
from striate.web.wire import document

from ..desk import desk, word
from ..workspace import Subject, Workspace

MAX_CURVES = 20
NOTE, MAX_NOTE = "note.txt", 2000


async def runs(request: Request) -> Response:
    """A row a run, from its documents alone."""
    here = desk(request)
    subjects = [one for one in here.workspace.subjects.values() if one.run is not None]
    return document({"runs": await here.reads.run(request, lambda cancel: [_row(one) for one in subjects])})


def _row(subject: Subject) -> dict[str, Any]:
    assert subject.run is not None
    row: dict[str, Any] = {"id": subject.id, "title": subject.title}
    try:
        return row | {"note": _note(subject.run)} | _facts(subject.run)
    except UserError as problem:
        return row | {"problem": problem.what}


def _facts(run: RunDir) -> dict[str, Any]:
    info, scores = run.info(), run.scores()
    result: Mapping[str, Any] = info.get("result") or {}
    monitor = info["task"]["monitor"]
    split = next((one for one in ("test", "val") if scores.get(one)), None)
    return {
        "network": info["model"]["name"],
        "recipe": info.get("recipe_name", ""),
        "seed": info["seed"],
        "status": info["status"],
        "metric": monitor,
        "split": split,
        "score": number(scores[split].get(monitor)) if split else None,
        "val": number(scores.get("val", {}).get(monitor)),
        "parameters": info["model"]["parameters"],
        "epochs": result.get("epochs"),
        "best_epoch": result.get("best_epoch"),
        "time_s": result.get("time_s"),
        "images_per_s": result.get("train_images_per_s"),
    }


def _note(run: RunDir) -> str:
    path = run.path / NOTE
    return path.read_text("utf-8", "replace")[:MAX_NOTE] if path.is_file() and not path.is_symlink() else ""


async def note(request: Request) -> Response:
    """Write what is noted of a run into its folder; an empty note removes it."""
    here, id_ = desk(request), request.path_params["run"]
    run = _run(here.workspace, id_)
    text = (await request.body()).decode("utf-8", "replace").strip()
    if len(text) > MAX_NOTE:
        raise SettingsError(f"a note of {len(text):,} characters", where="note", fix=f"keep it under {MAX_NOTE:,}")

    def written(cancel: object) -> dict[str, str]:
        if text:
            write_text(run.path / NOTE, text + "\n")
        else:
            (run.path / NOTE).unlink(missing_ok=True)
        return {"id": id_, "note": text}

    return document(await here.reads.run(request, written))


async def trash(request: Request) -> Response:
    """Move a run's folder into the folder .trash beside it."""
    here, id_ = desk(request), request.path_params["run"]
    _run(here.workspace, id_)
    where = await here.reads.run(request, lambda cancel: here.workspace.throw_away(id_))
    return document({"id": id_, "where": f"{where.parent.parent.name}/{where.parent.name}/{where.name}"})


async def restore(request: Request) -> Response:
    """Move a run's folder back out of .trash."""
    here, id_ = desk(request), request.path_params["run"]
    await here.reads.run(request, lambda cancel: here.workspace.bring_back(id_))
    return document({"id": id_})


def _run(space: Workspace, id_: str) -> RunDir:
    run = space.subject(id_).run
    if run is None:
        raise ModelError("a fresh network has no folder", where=id_, fix="choose a run")
    return run


async def curves(request: Request) -> Response:
    """The histories of some runs, and the settings in which these differ."""
    here = desk(request)
    ids = [one for one in word(request, "ids", "").split(",") if one][:MAX_CURVES]
    subjects = [here.workspace.subject(one) for one in ids]
    chosen = [(one, one.run) for one in subjects if one.run is not None]
    return document(await here.reads.run(request, lambda cancel: _compared(chosen)))


def _compared(chosen: list[tuple[Subject, RunDir]]) -> dict[str, Any]:
    recipes = [settings(run.info().get("recipe", {})) | {"seed": run.info()["seed"]} for _, run in chosen]
    keys = sorted({key for recipe in recipes for key in recipe})
    differing = [key for key in keys if len({repr(recipe.get(key)) for recipe in recipes}) > 1]
    return {
        "runs": [{"id": one.id, "title": one.title, "history": run.history()} for one, run in chosen],
        "differences": [
            {"setting": key, "values": [_text(recipe.get(key)) for recipe in recipes]} for key in differing
        ],
    }


def settings(recipe: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return nested settings by dotted paths.

    Example:
        >>> settings({"train": {"lr": 0.1}, "seed": 1})
        {'train.lr': 0.1, 'seed': 1}
    """
    found: dict[str, Any] = {}
    for key, value in recipe.items():
        found |= settings(value, f"{before}{key}.") if isinstance(value, Mapping) else {f"{before}{key}": value}
    return found


def _text(value: Any) -> str:
    return "—" if value is None else str(value)[:120]


ROUTES: list[BaseRoute] = [
    Route("/api/runs", runs),
    Route("/api/runs/curves", curves),
    Route("/api/runs/{run}/note", note, methods=["POST"]),
    Route("/api/runs/{run}/trash", trash, methods=["POST"]),
    Route("/api/runs/{run}/restore", restore, methods=["POST"]),
]
