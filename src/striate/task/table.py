"""The table of tasks: by name, by the kind of target they are the usual ones for, and by what run.json says."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from striate.base.choose import choose, nearest
from striate.base.errors import DataError, ModelError, SettingsError
from striate.base.plugin import OF_A_PLUGIN, being_loaded
from striate.base.settings import Settings
from striate.base.text import shown
from striate.data.target import TASK_KINDS, Boxes, Target, Values

from .classify import Classify
from .defaults import Defaults
from .detect import Detect
from .localise import Localise
from .points import KeyPoints
from .protocol import Task
from .regress import Regress
from .restore import Colourise, Denoise, Inpaint, Reconstruct, Superresolve
from .segment import Segment
from .tag import Tag

RESTORE = (Denoise, Superresolve, Inpaint, Colourise, Reconstruct)
TASKS: dict[str, Any] = {"classify": Classify, "tag": Tag, "regress": Regress, "segment": Segment, "localise": Localise}
TASKS |= {task.name: task for task in (Detect, KeyPoints)}
TASKS |= {task.name: task for task in RESTORE}
USUAL = {  # kind of target -> its task where none is asked for
    "label": "classify",
    "tags": "tag",
    "value": "regress",
    "mask": "segment",
    "box": "localise",
    "points": "points",
}


def register(cls: Any) -> Any:
    """Add a task to the table, under its name, and return it; a decorator. The same name again replaces it.

    Raises:
        SettingsError: the class has no name, no target, no metric or no loss.
    """
    lacks = {
        "name": not cls.name,
        "kinds (or target_names)": not (cls.kinds or cls.target_names),
        "metrics": not cls.metrics,
        "loss (or losses)": cls.loss is Defaults.loss and cls.losses is Defaults.losses,
    }
    for part, is_lacking in lacks.items():
        if is_lacking:
            raise SettingsError(f"a task without {part}", where=cls.__name__, fix=f"give the class {part}")
    cls.plugin = being_loaded()
    TASKS[cls.name] = cls
    TASK_KINDS[cls.name] = cls.kinds
    return cls


def fit_task(
    targets: Mapping[str, Target],
    train: npt.NDArray[np.intp],
    *,
    name: str | None = None,
    target: str | None = None,
    options: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Task:
    """Return the task that predicts a target, or the targets that the named task declares.

    Args:
        targets: the dataset's.
        train: the training images.
        name: of a task in the table; where it does not predict such targets (`classify` for tags), and without a
            name, the target's kind decides.
        target: its name; by default the first.
        options: values for the settings that the task declares itself, see `Defaults.Options`.
        settings: of any task, such as `label_smoothing` or `is_balanced`.

    Raises:
        DataError: no task predicts targets of this kind, or a target that the task declares is not there.
        SettingsError: no task has that name, or it knows no such option.
    """
    cls, names = task_class(targets, name, target), (target or next(iter(targets)),)
    wanted = {one: choose("target", one, targets, DataError) for one in cls.target_names or names}
    fit: Callable[..., Task] = cls.fit
    return fit(wanted, train, options=options_of(cls, options or {}), **settings)


def task_class(targets: Mapping[str, Target], name: str | None = None, target: str | None = None) -> Any:
    """Return the class of the task that `fit_task` fits for these arguments.

    Raises:
        DataError: no task predicts targets of this kind.
        SettingsError: no task has that name.
    """
    cls = choose("task", name, TASKS, SettingsError, otherwise=OF_A_PLUGIN) if name else None
    if cls is not None and cls.target_names:
        return cls
    first = target or next(iter(targets))
    kind = choose("target", first, targets, DataError).kind
    if cls is not None and kind in cls.kinds:
        return cls
    if kind == Boxes.kind and not cast(Boxes, targets[first]).is_single:
        return Detect
    if kind not in USUAL:
        fix = f"choose a target of kind {', '.join(USUAL)}, or a task of your own with --task"
        raise DataError(f"no task predicts targets of kind {kind!r}", where=first, fix=fix)
    return TASKS[USUAL[kind]]


def usual_task(targets: Mapping[str, Target], target: str | None = None) -> str:
    """Return the name of the task of a target, or of the first, where none is asked for.

    Raises:
        DataError: no task predicts targets of its kind.
    """
    return str(task_class(targets, None, target).name)


def options_of(cls: Any, values: Mapping[str, Any], where: str = "") -> Settings:
    """Return the settings that a task declares itself, checked.

    Args:
        where: said before the setting, such as "variant plain: ".

    Raises:
        SettingsError: it declares no such setting, or the value is not allowed.
    """
    fields = cls.Options.model_fields
    if odd := next((name for name in values if name not in fields), None):
        close = nearest(odd, fields)
        fix = f"did you mean task.{close}?" if close else f"it has {', '.join(fields)}" if fields else "leave it out"
        raise SettingsError(
            f"the task {cls.name} has no setting {shown(odd, 40)!r}", where=f"{where}task.{odd}", fix=fix
        )
    try:
        options: Settings = cls.Options.parse(values)
    except SettingsError as problem:
        fix = problem.action.replace("change ", "change task.", 1)
        raise SettingsError(problem.what, where=f"{where}task.{problem.where}", fix=fix) from problem
    return options


def for_target(name: str, target: Values, train_values: Any, **settings: Any) -> Task:
    """Return the usual task of a target; `train_values` are those of the training images."""
    values = np.asarray(train_values)
    return fit_task({name: replace(target, values=values)}, np.arange(len(values)), **settings)


def from_json(values: Mapping[str, Any]) -> Task:
    """Return the task that `to_json` described.

    Raises:
        ModelError: no task has that name here; it may need its plugin.
    """
    name = str(values.get("name"))
    if name not in TASKS:
        plugin = values.get("plugin")
        fix = f"load its file: --plugin {plugin}" if plugin else "load the file that defines it with --plugin FILE.py"
        raise ModelError(f"no task {name!r} is known here", fix=fix)
    try:
        task: Task = TASKS[name].from_json(values)
    except TypeError as problem:
        raise ModelError(
            f"the description of the task {name!r} is not whole ({problem})", where="task", fix="restore run.json"
        ) from problem
    return task
