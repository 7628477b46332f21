"""What a study compares: variants x seeds (x folds), from the default ladder or a TOML file."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from striate.base.errors import SettingsError
from striate.base.settings import Settings, read_toml
from striate.run.recipe import Recipe, from_table, named


@dataclass(frozen=True)
class Variant:
    """One row of a study: a network and a recipe; `num_train` limits its training images (None: all of them)."""

    name: str
    model: str
    recipe: Recipe
    recipe_name: str
    text: str = ""
    num_train: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the plain description that study.json holds."""
        recipe = self.recipe.model_dump(mode="json")
        values = {
            "name": self.name,
            "text": self.text,
            "model": self.model,
            "recipe_name": self.recipe_name,
            "recipe": recipe,
        }
        return values | {"num_train": self.num_train}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Variant":
        """Return the variant that `to_json` described."""
        return cls(**{**values, "recipe": Recipe.parse(values["recipe"], f"variant {values['name']}")})


def ladder(model: str = "bipyramid", changes: list[str] | None = None) -> list[Variant]:
    """Return the classic exercise: an MLP to beat, then a network bare, with augmentation, and with every remedy.

    Args:
        model: the network of the last three rungs.
        changes: `field=value` settings applied to every rung.
    """
    rungs = [
        ("mlp", "mlp", "baseline", "the thing to beat: a plain network on pixels"),
        ("baseline", model, "baseline", "convolutions, no remedy against overfitting"),
        ("augmented", model, "augmented", "+ augmentation"),
        ("regularized", model, "regularized", "+ augmentation, dropout, batch norm, weight decay, label smoothing"),
    ]
    return [Variant(name, net, named(recipe).changed(changes or []), recipe, text) for name, net, recipe, text in rungs]


class VariantTable(Settings):
    """One `[[variant]]` of a study file; `changes` are the recipe's tables, on top of the named recipe."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,59}$")
    text: str = ""
    model: str = "bipyramid"
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
    table = StudyTable.parse(read_toml(path), path)
    names = [variant.name for variant in table.variant]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise SettingsError("two variants share a name", where=f"{path}: variant {twice}", fix="rename one of them")
    if table.baseline and table.baseline not in names:
        raise SettingsError(
            f"baseline {table.baseline!r} is no variant",
            where=f"{path}: baseline",
            fix=f"choose one of {', '.join(names)}",
        )
    return table, [_variant(row, table, path) for row in table.variant]


def _variant(row: VariantTable, table: StudyTable, path: Path) -> Variant:
    where = f"{path}: variant {row.name}"
    if row.recipe.endswith(".toml"):
        recipe = from_table(read_toml(path.parent / row.recipe), path.parent / row.recipe)
    else:
        recipe = named(row.recipe)
    return Variant(
        row.name,
        row.model,
        recipe.changed([*table.set, *row.set], where),
        row.recipe,
        row.text or row.recipe,
        row.num_train,
    )


def check_names(variants: list[Variant]) -> None:
    """Refuse variant names that cannot be folder names."""
    for variant in variants:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,59}", variant.name):
            raise SettingsError(
                f"variant name {variant.name!r} cannot be a folder name", fix="use letters, digits, . _ + -"
            )
