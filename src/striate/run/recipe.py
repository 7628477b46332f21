"""A recipe: everything that influences a result, except dataset, blueprint and seed. Named recipes are values here."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from striate.base.choose import choose
from striate.base.errors import SettingsError
from striate.base.settings import Settings, read_toml
from striate.base.size import size_setting
from striate.base.stages import OLD, with_stages
from striate.data.augment import STRENGTHS, AlternatingFlip, Op, Pipeline, Shift
from striate.model import zoo

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
KINDS: dict[str, Any] = {op.model_fields["kind"].default: op for op in get_args(get_args(Op)[0])}


class DataSettings(Settings):
    """How images reach the network.

    `size` is the side of a square in pixels, or height x width ("180x240"); None: the images' own up to 64 px, else 64.
    `fit` is the resize policy: "crop" fills the network's input and cuts what is over, "letterbox" pads, "squash"
    stretches. `margin` is the store's size over the network's, so that zooming in has pixels to show. `depth`: 16 keeps
    all bits of deeper images. `balance`: "weights" in the loss, or "sampling" of rare classes more often.
    """

    size: Annotated[int | str | None, BeforeValidator(size_setting)] = None
    fit: Literal["crop", "letterbox", "squash"] = "crop"
    margin: float = Field(1.15, ge=1.0, le=2.0)
    depth: Literal[8, 16] = 8
    balance: Literal["none", "weights", "sampling"] = "none"


class ModelSettings(Settings):
    """Options handed to the blueprint; None leaves its own value. `encoder`: the network that a U-Net begins with.

    `dropout` is before the last layer, `spatial_dropout` of whole maps (bipyramid), `drop_path` the chance of leaving
    out the last residual branch, smaller for earlier ones.
    """

    norm: str | None = None
    dropout: float | None = Field(None, ge=0, lt=1)
    spatial_dropout: float | None = Field(None, ge=0, lt=1)
    drop_path: float | None = Field(None, ge=0, lt=1)
    activation: str | None = None
    width: int | float | None = Field(None, gt=0, le=65536)
    depth: int | None = Field(None, ge=1, le=1000)
    head: str | None = None
    encoder: str | None = None

    def options(self) -> dict[str, Any]:
        """Return the options that are set."""
        return {name: value for name, value in self.model_dump().items() if value is not None}


class StageSettings(Settings):
    """Epochs in which the same rows train, with an optimiser and a whole course of the schedule of their own.

    `epochs` of every stage but the last, which lasts until `train.epochs`. `frozen` is the last of the leading rows
    that do not train ("body": all before the head; "": none), whose batch norm and dropout are as at prediction. `lr`
    is the highest learning rate; None is that of the recipe. Early stopping counts in the last stage.
    """

    epochs: int | None = Field(None, ge=1)
    frozen: str = ""
    lr: float | None = Field(None, gt=0, le=1e12)

    @model_serializer(mode="wrap")
    def _short(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in write(self).items() if value is not None}


class TrainSettings(Settings):
    """How the network is trained. None means automatic; the values used are recorded in the run.

    Automatic `epochs`: 40 up to 4,000 training images, fewer beyond, but at least 16. Automatic `patience` (epochs
    without a better score before stopping; 0 never stops): half of the epochs, since a rate that is still high hides
    progress; never with `swa`, which needs the last epochs. `clip` is the largest gradient norm.

    Optimiser: a rate goes with it, so that naming another one makes `lr` automatic unless that is named as well.
    `momentum` is that of sgd, rmsprop and muon, and the first beta of adam, adamw and lion. `weight_decay`
    is added to the gradient by sgd, adam and rmsprop (L2), and shrinks the weights beside the step in adamw, lion and
    muon (decoupled). muon moves the filters, adamw the rest. `depth_decay`: each row's rate is this times the next
    row's. `norm_bias_scale`: the rate of the biases of normalisations is this times the rate.

    Averages: `ema` is the decay of the running average (0 is off), whose batch-norm statistics are the network's own;
    `swa` the share of the epochs, at the end, whose networks are averaged, with batch-norm statistics measured anew by
    a pass over the training images; `swa_lr` the constant rate in them (0: the schedule goes on).

    Against overfitting: `l1` x sum |w| and `l2` x sum w^2 in the loss (both: elastic net); `weight_noise`, deviation
    of noise on weights as a share of their root mean square; `label_noise`, share of training labels that are made
    wrong (for numbers: deviation of the noise as a share of theirs); `sam`, radius of sharpness-aware minimisation,
    two passes a step (0.05 is usual).

    Parts: `aux_weight` of the loss of each auxiliary head (None: as the blueprint says; 0 leaves them out);
    `freeze_norm` keeps every batch norm's statistics as they are. `stages` split the epochs; without, all train.
    `record_gradients` writes gradient, weights, activations and dead units of each row into the history.
    """

    epochs: int | None = Field(None, ge=1, le=100_000)
    batch_size: int | None = Field(None, ge=1, le=65536)
    optimiser: Literal["sgd", "adam", "adamw", "rmsprop", "lion", "muon"] = "adamw"
    lr: float | None = Field(None, gt=0, le=1e12, title="learning_rate")
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)
    depth_decay: float = Field(1.0, gt=0, le=1)
    norm_bias_scale: float = Field(1.0, gt=0, le=1000)
    schedule: Literal["constant", "step", "cosine", "linear", "onecycle"] = "onecycle"
    warmup: float = Field(0.0, ge=0, lt=1)
    clip: float = Field(0.0, ge=0)
    ema: float = Field(0.0, ge=0, lt=1)
    swa: float = Field(0.0, ge=0, le=1)
    swa_lr: float = Field(0.0, ge=0, le=1e12)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    l1: float = Field(0.0, ge=0)
    l2: float = Field(0.0, ge=0)
    weight_noise: float = Field(0.0, ge=0, le=10)
    label_noise: float = Field(0.0, ge=0, lt=1)
    sam: float = Field(0.0, ge=0, le=100)
    aux_weight: float | None = Field(None, ge=0)
    stages: tuple[StageSettings, ...] = ()
    freeze_norm: bool = False
    patience: int | None = Field(None, ge=0)
    precision: Literal["auto", "float32", "bf16"] = "auto"
    record_gradients: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.ema and self.swa:
            raise SettingsError("both ema and swa average the weights", where="train", fix="set one of them to 0")
        if self.swa_lr and not self.swa:
            raise SettingsError("swa_lr is the rate while swa averages", where="train", fix="set train.swa=0.25 too")
        if any(stage.epochs is None for stage in self.stages[:-1]):
            raise SettingsError("a stage before the last one has no epochs", where="train.stages", fix="give it epochs")
        if self.stages and self.stages[-1].epochs is not None:
            what = "the last stage lasts until train.epochs"
            raise SettingsError(what, where="train.stages", fix="leave its epochs out")
        return self

    @model_validator(mode="before")
    @classmethod
    def _older_keys(cls, values: Any) -> Any:
        return with_stages(values) if isinstance(values, Mapping) and any(key in values for key in OLD) else values

    @field_validator("stages", mode="after")
    @classmethod
    def _one_usual_stage_is_none(cls, stages: tuple[StageSettings, ...]) -> tuple[StageSettings, ...]:
        return () if stages == (StageSettings(),) else stages

    @property
    def frozen_at_first(self) -> str:
        """The last of the leading rows that do not train in the first stage."""
        return self.stages[0].frozen if self.stages else ""

    @property
    def frozen_at_last(self) -> str:
        """The last of the leading rows that do not train in the last stage."""
        return self.stages[-1].frozen if self.stages else ""


class TransferSettings(Settings):
    """Where a network's weights come from before training.

    `weights`: "imagenet" (published, from the local cache or downloaded), a weights file, or the folder of a run; None
    is fresh. `preset`: how a file's weights want their images. `head`: "fresh", "solved" on features of the frozen
    body before training, or "only": nothing else is trained. `views`: of each training image that features are taken
    of, the first as it is, the others augmented. `hidden`: width of a layer before the last one; 0 is none.
    """

    weights: str | None = None
    preset: Literal["torchvision", "tensorflow", "cifar"] | None = None
    head: Literal["fresh", "solved", "only"] = "fresh"
    views: int = Field(2, ge=1, le=1000)
    hidden: int = Field(0, ge=0, le=65536)


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
    augment: tuple[Op, ...] | None = ()
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
            return (value,) if value in KINDS else choose("augmentation", value, {**STRENGTHS, **KINDS})
        for one in value if isinstance(value, list | tuple) else ():
            if isinstance(one, str):
                choose("operation", one, KINDS)
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

    def network_or(self, model: Any) -> Any:
        """Return the network that was named, or the recipe's own where that is None.

        Example:
            >>> named("fast-small").network_or(None), named("fast-small").network_or("mlp"), Recipe().network_or(None)
            ('airbench', 'mlp', 'bipyramid')
        """
        return (self.network or zoo.DEFAULT) if model is None else model

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
        **_transfer_recipes(),
    }


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
