"""The groups of settings that a recipe is made of."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from striate.base.errors import SettingsError
from striate.base.settings import Settings
from striate.base.size import size_setting
from striate.base.stages import OLD, with_stages


class DataSettings(Settings):
    """How images reach the network.

    `size` is the side of a square in pixels, or height x width ("180x240"); None: the images' own up to 64 px, else 64.
    `fit` is the resize policy: "crop" fills the network's input and cuts what is over, "letterbox" pads, "squash"
    stretches; None: crop, for masks squash, since every pixel is asked for. `margin` is the store's size over the
    network's, so that zooming in has pixels to show. `depth`: 16 keeps all bits of deeper images. `balance`: "weights"
    in the loss, or "sampling" of rare classes more often. `hold_out_from`: with fewer images than that, those that were
    taken from the training split for validation train too (0: never); the best epoch is then the one that is best on
    training images, and validation scores are no estimate. In a study they never train. `min_seen`: a box of
    which augmentation leaves a smaller share of its area in the image teaches nothing there.
    """

    size: Annotated[int | str | None, BeforeValidator(size_setting)] = None
    fit: Literal["crop", "letterbox", "squash"] | None = None
    margin: float = Field(1.15, ge=1.0, le=2.0)
    depth: Literal[8, 16] = 8
    balance: Literal["none", "weights", "sampling"] = "none"
    hold_out_from: int = Field(0, ge=0)
    min_seen: float = Field(0.1, ge=0, le=1)


class ModelSettings(Settings):
    """Options handed to the blueprint; None leaves the blueprint's own value.

    `encoder` is the network of the zoo that a U-Net and its like begin with; what they have no option for is the
    encoder's, where that has one. Fast R-CNN looks at `levels` maps of it (1: one for all), and `pool` is how: "align"
    between places, "max" the largest numbers.

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
    levels: int | None = Field(None, ge=1, le=8)
    pool: Literal["align", "max"] | None = None
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
    `freeze_norm` keeps every batch norm's statistics as they are; `sync_norm`: of several processes that train together
    all take the statistics of the whole batch, not each those of its part. `stages` split the epochs; without them
    there is one, in which everything trains.
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
    sync_norm: bool = False
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
    of, or the maps of frozen rows where outputs are of places (detection, segmentation), the first as it is, the others
    augmented; 0 draws anew in every epoch, so that frozen rows run again. `hidden`: width of a layer before the last
    one; 0 is none.
    """

    weights: str | None = None
    preset: Literal["torchvision", "tensorflow", "cifar"] | None = None
    head: Literal["fresh", "solved", "only"] = "fresh"
    views: int = Field(2, ge=0, le=1000)
    hidden: int = Field(0, ge=0, le=65536)

    @model_validator(mode="after")
    def _features_have_views(self) -> Self:
        if self.head != "fresh" and not self.views:
            what = "features are taken of one view of each image at least"
            raise SettingsError(what, where="transfer.views", fix="set it to 1")
        return self
