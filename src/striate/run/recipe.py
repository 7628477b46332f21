"""A recipe: everything that influences a result, except dataset, blueprint and seed. Named recipes are values here."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from striate.base.choose import choose
from striate.base.errors import SettingsError
from striate.base.settings import Settings, read_toml
from striate.data.augment import STRENGTHS, Op


class DataSettings(Settings):
    """How pictures reach the network.

    `size` None: the pictures' own size up to 64 px, else 64. `fit` is the resize policy: "crop" fills the square and
    cuts what is over, "letterbox" pads, "squash" stretches. `margin` is the store's size over the network's, so that
    zooming in has pixels to show. `balance`: "weights" in the loss, or "sampling" of rare classes more often.
    """

    size: int | None = Field(None, ge=8, le=2048)
    fit: Literal["crop", "letterbox", "squash"] = "crop"
    margin: float = Field(1.15, ge=1.0, le=2.0)
    balance: Literal["none", "weights", "sampling"] = "none"


class ModelSettings(Settings):
    """Options handed to the blueprint; None leaves the blueprint's own value."""

    norm: str | None = None
    dropout: float | None = Field(None, ge=0, lt=1)
    activation: str | None = None
    width: int | None = Field(None, ge=1, le=65536)
    depth: int | None = Field(None, ge=1, le=1000)
    head: str | None = None

    def options(self) -> dict[str, Any]:
        """Return the options that are set."""
        return {name: value for name, value in self.model_dump().items() if value is not None}


class TrainSettings(Settings):
    """How the network is trained. None means automatic; the values used are recorded in the run.

    Automatic `epochs`: 40 up to 4,000 training images, fewer beyond, but at least 12. Automatic `patience` (epochs
    without a better score before stopping; 0 never stops): half of the epochs, since a rate that is still high hides
    progress. `momentum` is SGD's, or Adam's first beta; `clip` the largest gradient norm; `ema` the decay of the
    weight average (0 is off).
    """

    epochs: int | None = Field(None, ge=1, le=100_000)
    batch_size: int | None = Field(None, ge=1, le=65536)
    optimiser: Literal["sgd", "adam", "adamw"] = "adamw"
    lr: float | None = Field(None, gt=0, le=1e12, title="learning_rate")
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["constant", "step", "cosine", "linear", "onecycle"] = "onecycle"
    warmup: float = Field(0.0, ge=0, lt=1)
    clip: float = Field(0.0, ge=0)
    ema: float = Field(0.0, ge=0, lt=1)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    patience: int | None = Field(None, ge=0)
    precision: Literal["auto", "float32", "bf16"] = "auto"


class Recipe(Settings):
    """How to train: data, augmentation, model options and training.

    Example:
        >>> recipe = named("regularized").changed(["train.epochs=4", "augment=light"])
        >>> recipe.train.epochs, [op.kind for op in recipe.augment]
        (4, ['flip', 'shift'])
    """

    text: str = ""
    data: DataSettings = DataSettings()
    augment: tuple[Op, ...] = ()
    model: ModelSettings = ModelSettings()
    train: TrainSettings = TrainSettings()

    @field_validator("augment", mode="before")
    @classmethod
    def _strength(cls, value: Any) -> Any:
        return STRENGTHS[value] if isinstance(value, str) and value in STRENGTHS else value


def _recipes() -> dict[str, Recipe]:
    baseline = Recipe(text="no remedy against overfitting", train=TrainSettings())
    augmented = baseline.model_copy(update={"text": "baseline + augmentation", "augment": STRENGTHS["medium"]})
    regularized = augmented.model_copy(
        update={
            "text": "+ dropout, batch norm (and the larger rate it allows), weight decay, label smoothing",
            "model": ModelSettings(norm="batch", dropout=0.3),
            "train": baseline.train.model_copy(update={"lr": 0.01, "weight_decay": 0.05, "label_smoothing": 0.1}),
        }
    )
    return {"baseline": baseline, "augmented": augmented, "regularized": regularized}


RECIPES = _recipes()


def named(name: str) -> Recipe:
    """Return the recipe called `name`, or the one in a TOML file when `name` ends in .toml.

    A file may start from a named one with `base = "regularized"`.

    Raises:
        SettingsError: unknown name, unreadable file or a setting that is not allowed.
    """
    if not name.endswith(".toml"):
        return choose("recipe", name, RECIPES)
    return from_table(read_toml(Path(name)), name)


def from_table(table: dict[str, Any], where: object = "") -> Recipe:
    """Return the recipe of a TOML table; `base` names the recipe it starts from."""
    changes = dict(table)
    start = choose("recipe", str(changes.pop("base", "baseline")), RECIPES)
    if not isinstance(changes.get("augment", ()), str | list | tuple):
        raise SettingsError(
            "augment must be a strength or a list", where=f"{where}: augment", fix="write light, medium or strong"
        )
    return Recipe.parse(_merged(start.model_dump(mode="json"), changes), where)


def _merged(start: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(start)
    for key, value in changes.items():
        inner = merged.get(key)
        merged[key] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged
