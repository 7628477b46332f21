"""What a study compares: variants x seeds (x folds), from the default ladder or a TOML file."""

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from striate.base.errors import SettingsError
from striate.base.html import card, table
from striate.base.run_info import VariantInfo
from striate.base.settings import Settings, read_toml
from striate.base.text import plural, shown
from striate.data import open_dataset
from striate.model import zoo
from striate.run.card import changes_table, differing
from striate.run.recipe import RECIPES, Recipe, from_table, named, usual

from .grid import expanded

MOST = 4  # changes of a variant on a terminal


@dataclass(frozen=True)
class Variant:
    """One row of a study: a network and a recipe; `num_train` limits its training images (None: all of them)."""

    name: str
    model: str
    recipe: Recipe
    recipe_name: str
    text: str = ""
    num_train: int | None = None

    def __repr__(self) -> str:
        changes = [f"{name}={value}" for name, (value, _) in differing(self.recipe, self._named).items()]
        more = [f"and {len(changes) - MOST} more"] if len(changes) > MOST else []
        limit = [plural(self.num_train, "training image")] if self.num_train is not None else []
        words = [f"recipe {shown(self.recipe_name)}", *changes[:MOST], *more, *limit]
        return f"Variant({shown(self.name)!r}: {shown(self.model)}, {', '.join(words)})"

    def _repr_html_(self) -> str:
        limit = [("training images", f"{self.num_train:,}")] if self.num_train is not None else []
        facts = table([("model", self.model), ("recipe", self.recipe_name), *limit])
        return card(self.name, self.text, facts, changes_table(self.recipe, self._named, name="recipe's"))

    @property
    def _named(self) -> Recipe:
        """The recipe it starts from, where that is one of ours."""
        return RECIPES.get(self.recipe_name.removesuffix(" changed")) or Recipe()

    def to_json(self) -> VariantInfo:
        """Return the plain description that study.json holds."""
        assert isinstance(self.model, str), "a study names its networks"
        return {
            "name": self.name,
            "text": self.text,
            "model": self.model,
            "recipe_name": self.recipe_name,
            "recipe": self.recipe.model_dump(mode="json"),
            "num_train": self.num_train,
        }

    @classmethod
    def from_json(cls, values: VariantInfo) -> "Variant":
        """Return the variant that `to_json` described."""
        known: dict[str, Any] = {**values}
        return cls(**{**known, "recipe": Recipe.parse(values["recipe"], f"variant {values['name']}")})


REGULARIZED = "+ augmentation, dropout, batch norm, weight decay, label smoothing, and a learning rate of 0.01"


def ladder(model: str = zoo.DEFAULT, changes: list[str] | None = None) -> list[Variant]:
    """Return the classic exercise: an MLP to beat; a network alone, with augmentation, with all regularization.

    Args:
        model: the network of the last three steps.
        changes: `field=value` settings applied to every step.
    """
    steps = [
        (zoo.PLAIN, zoo.PLAIN, "baseline", "the thing to beat: a plain network on pixels"),
        ("baseline", model, "baseline", "convolutions, no regularization"),
        ("augmented", model, "augmented", "+ augmentation"),
        ("regularized", model, "regularized", REGULARIZED),
    ]
    return [_step(*row, changes or []) for row in steps]


def full_ladder(
    model: str = zoo.DEFAULT,
    changes: list[str] | None = None,
    *,
    weights: str | None = None,
    base: str = zoo.PRETRAINED,
) -> list[Variant]:
    """Return the classic exercise, then a small residual network, then three ways of transfer when there are weights.

    Args:
        weights: "imagenet", a weights file or a run folder; None leaves transfer out.
        base: the network these weights are of.
        changes: `field=value` settings applied to every step.
    """
    small = [
        ("small-xception", zoo.SMALL_RESIDUAL, "regularized", "a small residual network of separable convolutions")
    ]
    transfer = [
        ("features", base, "features", "a linear head on features of a trained network"),
        ("frozen", base, "frozen", "a new head on a trained network that stays as it is"),
        ("finetuned", base, "finetune", "a trained network trained on at a small rate"),
    ]
    start = [f"transfer.weights={weights}"]
    return [
        *ladder(model, changes),
        *(_step(*row, changes or []) for row in small),
        *(_step(*row, [*start, *(changes or [])]) for row in (transfer if weights else [])),
    ]


def task_series(
    task: Any,
    changes: list[str] | None = None,
    *,
    model: str | None = None,
    is_full: bool = False,
    form: str = "image",
    weights: str | None = None,
    base: str = zoo.PRETRAINED,
) -> list[Variant]:
    """Return what a task compares where no variants are named: its own steps, else networks for such data or the
    classic exercise.

    Args:
        task: its class.
        changes: `field=value` settings applied to every step.
        model: the network of the classic exercise; steps of a task's own have their networks.
        is_full: with the steps that a task has for who asks for all.
        form: of the data, see `data.sample.Usual`: whose networks are compared where none is named.
        weights: "imagenet", a weights file or a run folder: with the task's steps that start from them.
        base: the network these weights are of.

    Raises:
        SettingsError: a network is named for a task with steps of its own, weights where none of them takes any or no
            size is given.

    Example:
        >>> from striate.task.segment import Segment
        >>> [(one.name, one.model, one.recipe_name) for one in task_series(Segment, is_full=True)[3:]]
        [('unet', 'unet', 'baseline'), ('unet-regularized', 'unet', 'regularized')]
    """
    if not task.steps:
        if model is None and form in zoo.SIDE_BY_SIDE and not is_full:
            recipe = usual(None, form)
            return [_step(name, name, recipe, zoo.ZOO[name].text, changes or []) for name in zoo.SIDE_BY_SIDE[form]]
        return (full_ladder if is_full else ladder)(model or zoo.usual(None, form), changes)
    if model is not None:
        fix = "leave --model out, or compare variants of a study file: FILE.toml"
        raise SettingsError(f"a study of the task {task.name} has its own networks", where="--model", fix=fix)
    if weights and not takes_weights(task):
        fix = "leave it out, or compare variants of a study file: FILE.toml"
        raise SettingsError(f"a study of the task {task.name} starts from no weights", where="--weights", fix=fix)
    steps = [*task.steps, *(task.more_steps if is_full else ()), *(task.pretrained_steps if weights else ())]
    text = {"base": base, "weights": weights}
    variants = [
        _step(one.name, one.model, one.recipe, one.text.format(**text),
              [*one.starting_from(weights, base), *(changes or [])])
        for one in steps
        if weights or one.weights != "must"
    ]  # fmt: skip
    if weights and any(one.recipe.data.size is None for one in variants):  # weights bring a size of their own
        raise SettingsError("with weights the steps would see images of two sizes", where="--size", fix="add it")
    return variants


def takes_weights(task: Any, *, is_full: bool = True) -> bool:
    """Return whether a study of a task of this class has steps that start from weights.

    Args:
        is_full: whether it has the steps for who asks for all.
    """
    return any(one.weights != "none" for one in task.steps) or bool(is_full and task.pretrained_steps)


CURVE_SHARES = (0.25, 0.5)  # of the training images, beside all of them


def with_learning_curve(variants: list[Variant], of: str, num_train: int) -> list[Variant]:
    """Return the variants, and the one called `of` on a quarter and on half of the `num_train` training images as well.

    Example:
        >>> [(one.name, one.num_train) for one in with_learning_curve(ladder(), "regularized", 2000)[-3:]]
        [('regularized', None), ('regularized-25', 500), ('regularized-50', 1000)]
    """
    whole = next(variant for variant in variants if variant.name == of)
    parts = [
        replace(
            whole,
            name=f"{of}-{100 * share:.0f}",
            text=f"{of} on {100 * share:.0f}% of the training images",
            num_train=max(1, round(share * num_train)),
        )
        for share in CURVE_SHARES
    ]
    return [*variants, *parts]


def _step(name: str, model: str, recipe: str, text: str, changes: list[str]) -> Variant:
    return Variant(name, model, named(recipe).changed(changes), recipe, text)


class VariantTable(Settings):
    """One `[[variant]]` of a study file; `set` changes the named recipe, `without` and `pool` the network.

    `model` is by default the network that the recipe is made for, else bipyramid.
    """

    name: str
    text: str = ""
    model: str | None = None
    without: tuple[Literal["skip", "norm", "aux", "se", "depthwise"], ...] = ()
    pool: Literal["avg", "max", "stride"] | None = None
    recipe: str = "baseline"
    set: tuple[str, ...] = ()
    num_train: int | None = Field(None, ge=1)


class StudyTable(Settings):
    """A study file: data and how to open it, seeds, settings for all variants, and the variants."""

    data: str | None = None
    seeds: int = Field(3, ge=1, le=1000)
    folds: int | None = Field(None, ge=2, le=100)
    baseline: str | None = None
    target: str | None = None
    set: tuple[str, ...] = ()
    options: dict[str, Any] = {}
    variant: tuple[VariantTable, ...] = Field(min_length=1)


def read_plan(path: Path) -> tuple[StudyTable, list[Variant]]:
    """Return the study file's settings and its variants.

    Raises:
        SettingsError: the file, a field or a recipe is wrong, or two variants share a name.
    """
    content = read_toml(path)
    opening = inspect.signature(open_dataset).parameters.keys() - StudyTable.model_fields
    if odd := next((name for name in content if name in opening), None):
        what, fix = f"{odd!r} says how the data are opened", "write it below [options], at the end of the file"
        raise SettingsError(what, where=f"{path}: {odd}", fix=fix)
    table = StudyTable.parse(expanded(content, path), path)
    names = [variant.name for variant in table.variant]
    check_names(table.variant, f"{path}: ")
    if table.baseline and table.baseline not in names:
        raise SettingsError(
            f"baseline {table.baseline!r} is no variant",
            where=f"{path}: baseline",
            fix=f"choose one of {', '.join(names)}",
        )
    return table, [_variant(row, table, path) for row in table.variant]


def _variant(row: VariantTable, table: StudyTable, path: Path) -> Variant:
    from striate.run.network import ablated_name

    where = f"{path}: variant {row.name}"
    if row.recipe.endswith(".toml"):
        recipe = from_table(read_toml(path.parent / row.recipe), path.parent / row.recipe)
    else:
        recipe = named(row.recipe)
    return Variant(
        row.name,
        ablated_name(_beside(path, recipe.network_or(row.model)), row.without, row.pool),
        recipe.changed([*table.set, *row.set], where),
        row.recipe,
        row.text or row.recipe,
        row.num_train,
    )


def _beside(path: Path, model: str) -> str:
    """A blueprint's file as the one beside the study file, where there is one; other networks as they are called."""
    near = path.parent / model
    return str(near) if model.endswith(".toml") and near.is_file() else model


def variant(
    name: str,
    model: str | None = None,
    recipe: str | Recipe = "baseline",
    *,
    changes: Sequence[str] = (),
    text: str = "",
    num_train: int | None = None,
    **options: Any,
) -> Variant:
    """Return a variant of a study, as a `[[variant]]` of a study file is one.

    Args:
        name: of its folder: letters, digits and . _ + -
        model: by default the network that the recipe is made for.
        changes: `field=value` settings of the recipe.
        text: what is different, for the report.
        num_train: of its training images, when not all.
        options: `epochs`, `lr`, `batch_size`, `augment`, `optimiser`, `patience`, `size`, `fit` and `weights` change
            the recipe.

    Raises:
        SettingsError: no such recipe, setting or option.

    Example:
        >>> variant("wide", "bipyramid", "regularized", changes=["model.width=64"], epochs=5)
        Variant('wide': bipyramid, recipe regularized, model.width=64, train.epochs=5)
    """
    from striate.run.keywords import recipe_changes

    pairs = recipe_changes(options, variant)
    settings = (named(recipe) if isinstance(recipe, str) else recipe).changed(list(changes)).with_values(pairs)
    recipe_name = recipe if isinstance(recipe, str) else "custom"
    return Variant(name, settings.network_or(model), settings, recipe_name, text or recipe_name, num_train)


def require_plan(variants: Sequence[Variant] | None, seeds: int) -> None:
    """Return if a study can be made of these; None are the task's own.

    Raises:
        SettingsError: no variant, one that is none, or no seed.
    """
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1:
        raise SettingsError(f"no number of seeds: {shown(seeds, 40)}", where="seeds", fix="give 1 or more")
    if variants is not None and not variants:
        raise SettingsError("a study without variants", where="variants", fix="use st.ladder() or st.variant(...)")
    for one in variants or ():
        if not isinstance(one, Variant):
            fix = "use st.variant('name', 'network'); a network of your own is trained by st.train"
            raise SettingsError(f"{type(one).__name__} is no variant", where="variants", fix=fix)


def check_names(variants: Sequence[Variant | VariantTable], where: str = "") -> None:
    """Refuse variant names that cannot be folder names, and two that name one folder where case does not count."""
    first = dict[str, str]()
    for variant in variants:
        if other := first.get(variant.name.lower()):
            what = "two variants share a name" + (
                "" if other == variant.name else f" but for case: {other} is the first"
            )
            raise SettingsError(what, where=f"{where}variant {variant.name}", fix="rename one of them")
        first[variant.name.lower()] = variant.name
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,59}", variant.name):
            what = f"variant name {variant.name!r} cannot be a folder name"
            raise SettingsError(what, where=where.rstrip(": "), fix="use letters, digits, . _ + -, at most 60 of them")
