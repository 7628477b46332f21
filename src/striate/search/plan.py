"""What a search is, but for its data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from striate.base.errors import SettingsError
from striate.model import zoo
from striate.run.recipe import Recipe


@dataclass(frozen=True)
class Plan:
    """The settings of a search.

    Args:
        seed_model: the network to beat, as `--model` names it.
        budget_s, num_candidates: the search ends when either is spent; None is no limit. The candidate under way is
            finished, and the study at the end comes on top.
        max_macs, max_parameters: limit of each candidate; by default the seed network's own multiply-adds.
        epochs: of a candidate; by default a quarter of those of the study.
        num_train: training images of a candidate, the same for all; by default all.
        seeds: of the study at the end.
        at_once: so many candidates are made from those before all of them, so that they can be trained at once; by
            default 1, or as many as a cluster has room for when the search begins.
    """

    recipe: Recipe
    recipe_name: str = "custom"
    seed_model: str = zoo.DEFAULT
    budget_s: float | None = None
    num_candidates: int | None = None
    max_macs: int | None = None
    max_parameters: int | None = None
    epochs: int | None = None
    num_train: int | None = None
    seeds: int = 3
    seed: int = 0
    target: str | None = None
    at_once: int | None = None

    def __post_init__(self) -> None:
        if self.budget_s is None and self.num_candidates is None:
            raise SettingsError("a search needs an end", where="search", fix="give a budget or a number of candidates")
        if self.at_once is not None and self.at_once < 1:
            raise SettingsError(f"{self.at_once} candidates at once", where="at_once", fix="give 1 or more")
        if self.max_macs and self.max_parameters:
            raise SettingsError("two limits", where="--max-macs", fix="leave --max-parameters out")
        if self.recipe.transfer.weights is not None:
            raise SettingsError("candidates start from fresh weights", where="transfer.weights", fix="leave it out")

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**vars(self), "recipe": self.recipe.model_dump(mode="json")}

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> "Plan":
        """Return the plan that `to_json` described."""
        return cls(**{**table, "recipe": Recipe.parse(table["recipe"], "search.json")})
