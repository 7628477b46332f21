"""A recipe: everything that influences a result, except dataset, blueprint and seed. Named recipes are values here."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import Field, field_validator

from striate.base.choose import choose
from striate.base.errors import SettingsError
from striate.base.settings import Settings, read_toml
from striate.data.augment import STRENGTHS, AlternatingFlip, Flip, Pipeline, Scale, Shift
from striate.data.augment.own import AnyOp, known
from striate.model import zoo

from .settings import DataSettings, ModelSettings, StageSettings, TrainSettings, TransferSettings

MANY = 20_000  # training images that augmentation need not multiply
SHORT = {  # what options and keyword arguments of their own set, beside `--set`
    "epochs": "train.epochs",
    "lr": "train.lr",
    "batch_size": "train.batch_size",
    "augment": "augment",
    "optimiser": "train.optimiser",
    "patience": "train.patience",
}
OPTIONS = {  # of commands that train, with the setting that each is
    "--size": "data.size",
    "--fit": "data.fit",
    "--weights": "transfer.weights",
    **{f"--{name.replace('_', '-')}": path for name, path in SHORT.items()},
}


class Recipe(Settings):
    """How to train: data, augmentation, model options and training.

    `augment` is a list of operations; a name alone is a strength (none, light, medium, strong) or one operation as it
    is by default. None ("auto" in a file) is automatic: the strength "medium" up to 20,000 training images, else
    "light", since the few epochs that many images allow do not fit a harder task.

    `task` holds the settings that the task itself declares, such as `task.loss` of segmentation: they are checked when
    it is known which task is trained.

    `network` is the one that the recipe is made for, taken where none is named; "" is bipyramid.

    Example:
        >>> recipe = named("regularized").changed(["train.epochs=4", "augment=light"])
        >>> recipe.train.epochs, [op.kind for op in recipe.augment]
        (4, ['flip', 'shift'])
    """

    text: str = ""
    network: str = ""
    data: DataSettings = DataSettings()
    augment: tuple[AnyOp, ...] | None = ()
    model: ModelSettings = ModelSettings()
    train: TrainSettings = TrainSettings()
    transfer: TransferSettings = TransferSettings()
    task: Mapping[str, Any] = Field(default_factory=dict)

    @field_validator("augment", mode="before")
    @classmethod
    def _strength(cls, value: Any) -> Any:
        if value == "auto":
            return None
        if isinstance(value, str):
            return (value,) if value in known() else choose("augmentation", value, {**STRENGTHS, **known()})
        for one in value if isinstance(value, list | tuple) else ():
            if isinstance(one, str):
                choose("operation", one, known())
        return value

    def with_values(self, pairs: Sequence[tuple[str, Any]], where: object = "") -> Self:
        """Return a copy with values at `field.path`; another optimiser without a rate makes the rate automatic.

        Example:
            >>> [named("baseline").changed([one]).train.lr for one in ("train.epochs=4", "train.optimiser=sgd")]
            [0.003, None]
        """
        found = super().with_values(pairs, where)
        has_rate = any(path in ("train.lr", "train") for path, _ in pairs)
        return found if has_rate or found.train.optimiser == self.train.optimiser else found._with_automatic_rate()

    def _with_automatic_rate(self) -> Self:
        return self.model_copy(update={"train": self.train.model_copy(update={"lr": None})})

    def pipeline(self, num_train: int) -> Pipeline:
        """Return the augmentation of `num_train` training images.

        Example:
            >>> [len(named("augmented").pipeline(count).ops) for count in (20_000, 20_001)]
            [7, 2]
        """
        automatic = STRENGTHS["medium" if num_train <= MANY else "light"]
        return Pipeline(automatic if self.augment is None else self.augment)

    def network_or(self, model: Any, task: str | None = None, form: str = "image") -> Any:
        """Return the network that was named; where that is None the recipe's own, else the usual one.

        Args:
            form: of the data, see `data.sample.Usual`.

        Example:
            >>> named("fast-small").network_or(None), named("fast-small").network_or("mlp"), Recipe().network_or(None)
            ('airbench', 'mlp', 'bipyramid')
        """
        return (self.network or zoo.usual(task, form)) if model is None else model

    def strength(self) -> str:
        """Return the name of the augmentation: "auto", a strength, or "" where its operations have none.

        Example:
            >>> named("augmented").strength(), named("baseline").strength(), named("fast-small").strength()
            ('auto', 'none', '')
        """
        if self.augment is None:
            return "auto"
        return next((name for name, ops in STRENGTHS.items() if ops == self.augment), "")

    def __repr__(self) -> str:
        from .card import recipe_text

        return recipe_text(self)

    __str__ = __repr__

    def _repr_html_(self) -> str:
        from .card import recipe_card

        return recipe_card(self)


def _recipes() -> dict[str, Recipe]:
    # each step trains at the rate that was best for it on validation, see LOG.md
    baseline = Recipe(text="no regularization", train=TrainSettings(lr=0.003))
    augmented = baseline.model_copy(update={"text": "baseline + augmentation", "augment": None})
    regularized = augmented.model_copy(
        update={
            "text": "+ dropout, batch norm, weight decay, label smoothing, and a learning rate of 0.01",
            "model": ModelSettings(norm="batch", dropout=0.3),
            "train": baseline.train.model_copy(update={"lr": 0.01, "weight_decay": 0.05, "label_smoothing": 0.1}),
        }
    )
    return {
        "baseline": baseline,
        "augmented": augmented,
        "regularized": regularized,
        "fast-small": _fast_small(),
        "restore": _restore(),
        "detect": _detect(),
        "series": _series(regularized),
        **_transfer_recipes(),
    }


def _restore() -> Recipe:
    """Small batches, since an image has thousands of pixels to learn from; no operation that interpolates the truth."""
    train = TrainSettings(batch_size=16, lr=0.003, clip=1.0)
    return Recipe(
        text="images from spoiled ones: Adam in small batches, mirrored images", augment=(Flip(),), train=train
    )


def _detect() -> Recipe:
    """Small batches: each image has many things to learn from."""
    train = TrainSettings(batch_size=8, lr=0.002, weight_decay=0.01, clip=10.0, ema=0.998, patience=0)
    return Recipe(
        text="objects and their boxes: small batches, averaged weights",
        augment=None,
        train=train,
    )


def _series(regularized: Recipe) -> Recipe:
    """What did best on five sets of the archives, see docs/series-volumes.md: few series need every one of them."""
    train = regularized.train.model_copy(update={"lr": 0.005, "clip": 1.0, "patience": 0})
    return regularized.model_copy(
        update={
            "text": "series: small shifts in time and changes of gain, and of few series none is held out of training",
            "data": DataSettings(hold_out_from=1000),
            "augment": (Shift(max_frac=0.03), Scale(amount=0.1)),
            "train": train,
        }
    )


def _fast_small() -> Recipe:
    """Jordan, 94% on CIFAR-10 in 3.29 seconds on a single GPU, arXiv:2404.00498; Muon as in its later version."""
    train = TrainSettings(
        batch_size=250, optimiser="muon", lr=0.01, weight_decay=0.05, label_smoothing=0.2, schedule="linear",
        norm_bias_scale=4,
    )  # fmt: skip
    return Recipe(
        text="airbench on images of about 32 px: Muon, alternating flip, shifts, label smoothing",
        network=zoo.FAST,
        augment=(AlternatingFlip(), Shift(max_frac=1 / 16)),
        train=train,
    )


def _transfer_recipes() -> dict[str, Recipe]:
    features = Recipe(
        text="a linear probe (L-BFGS) on features of a trained network, taken once",
        augment=STRENGTHS["light"],
        transfer=TransferSettings(head="only"),
    )
    frozen = Recipe(
        text="a new head on a trained network that stays as it is, augmentation live",
        augment=STRENGTHS["light"],
        train=TrainSettings(epochs=10, lr=0.003, stages=(StageSettings(frozen="body"),), freeze_norm=True),
    )
    finetune = Recipe(
        text="a linear probe, then everything at a small rate, smaller for early rows",
        augment=STRENGTHS["medium"],
        train=TrainSettings(epochs=8, lr=2e-4, weight_decay=0.05, depth_decay=0.9, freeze_norm=True),
        transfer=TransferSettings(head="solved"),
    )
    return {"features": features, "frozen": frozen, "finetune": finetune}


RECIPES = _recipes()


OF_TASK = {**dict.fromkeys(zoo.OF_TASK, "restore"), "detect": "detect"}
OF_FORM = {"series": "series"}  # recipes of what the data are, see `data.sample.Usual`


def usual(task: str | None, form: str = "image") -> str:
    """Return the name of the recipe for a task, or for data of a form, where none is named.

    Example:
        >>> usual(None), usual("denoise"), usual("detect"), usual(None, "series")
        ('regularized', 'restore', 'detect', 'series')
    """
    return OF_TASK.get(task or "") or OF_FORM.get(form, "regularized")


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
    found = Recipe.parse(_merged(start.model_dump(mode="json"), changes), where)
    has_rate = "lr" in changes.get("train", {}) or found.train.optimiser == start.train.optimiser
    return found if has_rate else found._with_automatic_rate()


def paths() -> dict[str, str]:
    """Return the path of every setting by its last name, and by its title.

    Example:
        >>> [paths().get(name) for name in ("weight_decay", "learning_rate", "dropout", "colour")]
        ['train.weight_decay', 'train.lr', 'model.dropout', None]
    """
    found = {"augment": "augment"}
    for group, field in Recipe.model_fields.items():
        if isinstance(field.default, Settings):
            for name, inner in type(field.default).model_fields.items():
                found |= {known: f"{group}.{name}" for known in (name, inner.title) if known}
    return found


def _merged(start: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(start)
    for key, value in changes.items():
        inner = merged.get(key)
        merged[key] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged
