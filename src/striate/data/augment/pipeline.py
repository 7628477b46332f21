"""Draw, then apply: a pipeline turns one row of random numbers an image into one geometric and one colour matrix."""

from collections.abc import Collection, Iterator, Sequence
from typing import Annotated, Any, get_args

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field

from striate.base.choose import choose
from striate.base.size import SizeHW

from .colour import Brightness, Colour, Contrast, Grey, Hue, Invert, Saturation, compose, mean_grey, unchanged
from .effect import Effect
from .erase import Erase
from .geometric import AlternatingFlip, Crop, Flip, Geometric, Perspective, Rotate, Shear, Shift, Zoom
from .jpeg import Jpeg
from .mix import Cutmix, Mixing, Mixup, draw_mix
from .mosaic import Mosaic, Tiles, draw_mosaic
from .objects import ObjectCrop, Objects
from .operation import Draws, Matrices, Numbers, Operation
from .plan import Plan
from .policy import Policy, RandAugment, TrivialAugment
from .quality import Blur, Noise, Resolution, Sharpness
from .series import Jitter, Scale, TimeWarp, Window
from .space import draw_in_space, draw_places, plan_in_space
from .tone import Autocontrast, Equalise, Posterise, Solarise, Tone

GeometricOp = Flip | AlternatingFlip | Rotate | Shift | Zoom | Shear | Perspective | Crop | ObjectCrop
ColourOp = Brightness | Contrast | Saturation | Hue | Grey | Invert
ToneOp = Posterise | Solarise | Autocontrast | Equalise
SeriesOp = Window | Scale | Jitter | TimeWarp
QualityOp = Blur | Noise | Resolution | Sharpness | Jpeg
MixOp = Mosaic | Mixup | Cutmix
PolicyOp = RandAugment | TrivialAugment
Op = Annotated[
    GeometricOp | ColourOp | ToneOp | QualityOp | SeriesOp | Erase | MixOp | PolicyOp,
    Field(discriminator="kind"),
    BeforeValidator(lambda value: {"kind": value} if isinstance(value, str) else value),  # "flip" is all defaults
]

KINDS: dict[str, Any] = {op.model_fields["kind"].default: op for op in get_args(get_args(Op)[0])}
STRENGTHS: dict[str, tuple[Op, ...]] = {
    "none": (),
    "light": (Flip(), Shift(max_frac=0.06)),
    "medium": (
        Flip(),
        Rotate(max_deg=12),
        Shift(max_frac=0.1),
        Zoom(min=0.85, max=1.25),
        Brightness(amount=0.2),
        Contrast(amount=0.2),
        Saturation(amount=0.2),
    ),
    "strong": (
        Flip(),
        Rotate(max_deg=20),
        Shear(max_deg=8),
        Crop(scale=(0.35, 1.0)),
        Brightness(amount=0.35),
        Contrast(amount=0.35),
        Saturation(amount=0.35),
        Hue(max_deg=15),
        Erase(p=0.5),
    ),
}
STRENGTHS["objects"] = (
    Flip(),
    Zoom(min=0.6, max=1.2),
    ObjectCrop(scale=(0.4, 1.0), p=0.5),
    Brightness(amount=0.25),
    Contrast(amount=0.25),
    Saturation(amount=0.25),
    Mosaic(p=0.5),
)


class Pipeline:
    """A list of operations, applied as one interpolation and one colour map, with what no matrix expresses around them.

    The stages are: tones (posterise ...), geometry, colours, quality (blur ...), erasing, mosaic, mixing. Within a
    stage operations act in the order given. Pixels from beyond the border are the image mirrored at its edge, or grey
    where boxes are learnt. The empty pipeline is the evaluation view.

    Args:
        ops: the operations.
        is_in_space: whether they are done to volumes, see `space`.
        off: places in `ops` of those that are not done; what the others draw stays the same.

    Example:
        >>> Pipeline(STRENGTHS["light"])
        Pipeline(flip(horizontal=0.5, vertical=0.0), shift(max_frac=0.06))
    """

    def __init__(self, ops: Sequence[Op] = (), *, is_in_space: bool = False, off: Collection[int] = ()) -> None:
        self.ops, self.is_in_space, self.off = tuple(ops), is_in_space, frozenset(off)

    @classmethod
    def named(cls, strength: str) -> "Pipeline":
        """Return a named strength: none, light, medium, strong.

        Raises:
            SettingsError: there is no such strength.
        """
        return cls(choose("augmentation", strength, STRENGTHS))

    def __repr__(self) -> str:
        return f"Pipeline({', '.join(map(_text, self.ops))})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pipeline) and (self.ops, self.off) == (other.ops, other.off)

    def __hash__(self) -> int:
        return hash(self.ops)

    def draw(self, num_samples: int, seed: int, epoch: int) -> Draws:
        """Return the epoch's table of uniform numbers, one row a sample.

        Each operation has its own stream, so a row depends on seed, epoch, sample and place in the list only: neither
        on batch size and order nor on operations added behind.
        """
        columns = [
            draw_in_space(op, num_samples, seed, epoch, place)
            if self.is_in_space
            else op.draw(num_samples, seed, epoch, place)
            for place, op in enumerate(self.ops)
        ]
        columns += [draw_places(num_samples, seed, epoch)] if self.is_in_space else []
        return np.concatenate(columns, axis=1) if columns else np.empty((num_samples, 0), np.float32)

    @property
    def asks_for_objects(self) -> bool:
        """Whether an operation looks where the objects of an image are."""
        return any(isinstance(op, ObjectCrop) for op in self.ops)

    def matrices(
        self,
        draws: Draws,
        in_hw: SizeHW,
        out_hw: SizeHW,
        means: npt.NDArray[np.floating],
        objects: Objects | None = None,
        sizes: npt.NDArray[np.int64] | None = None,
    ) -> Plan:
        """Return what these rows of the table do.

        Args:
            draws: (B, D) rows of `draw`.
            in_hw: height and width of the stored images; of volumes the depth too.
            out_hw: those of the images to make.
            means: (B, C) mean level 0..255 of each stored image and channel, the pivot of contrast.
            objects: the boxes of the images, for operations that look where they are.
            sizes: (B, 3) of volumes of which random patches are taken: their own, in the middle of what is stored.
        """
        if len(in_hw) == 3:
            patch = out_hw if self.is_in_space else in_hw
            return plan_in_space(self.ops, draws, in_hw, patch, means, sizes, self.off)
        if means.shape[1] not in (1, 3):  # of bands that are no colours the mean is the grey
            means = means.mean(1, keepdims=True)
        move, colour = np.tile(np.eye(3), (len(draws), 1, 1)), unchanged(len(draws))
        boxes: list[npt.NDArray[np.int32]] = []
        tones: list[tuple[Effect, Numbers]] = []
        qualities: list[tuple[Effect, Numbers]] = []
        mixings: list[tuple[Mixing, Draws]] = []
        mosaic: Tiles | None = None
        for op, part, chosen in self._parts(draws):
            if isinstance(op, Geometric):
                move = move @ _where(chosen, op.matrices(part, out_hw[1] / out_hw[0]), np.eye(3))
            elif isinstance(op, ObjectCrop):
                move = move @ op.matrices(part, objects, move)
            elif isinstance(op, Colour):
                colour = compose(colour, _where(chosen, op.matrices(part, mean_grey(colour, means)), np.eye(3, 4)))
            elif isinstance(op, Effect):
                (tones if isinstance(op, Tone) else qualities).append((op, _where(chosen, op.values(part), np.nan)))
            elif isinstance(op, Erase):
                boxes.append(op.boxes(part, out_hw))
            elif isinstance(op, Mixing):
                mixings.append((op, part))
            elif isinstance(op, Mosaic):
                mosaic = draw_mosaic(op, part, out_hw)
        is_coloured = any(isinstance(op, Colour | Policy) for op in self.ops)
        has_perspective = any(isinstance(op, Perspective) for op in self.ops)
        return Plan(
            (_homography_in_pixels if has_perspective else _in_pixels)(move, in_hw, out_hw),
            in_hw,
            out_hw,
            colour if is_coloured else None,
            np.stack(boxes) if boxes else None,
            tuple(tones),
            tuple(qualities),
            draw_mix(mixings, out_hw),
            mosaic,
        )

    def _parts(self, draws: Draws) -> Iterator[tuple[Operation, Draws, npt.NDArray[np.bool_] | None]]:
        """Each operation with its draws and the (B,) rows it is for; None for all. Policies become what they drew."""
        start = 0
        for place, op in enumerate(self.ops):
            part, start = draws[:, start : start + op.num_draws], start + op.num_draws
            if place in self.off:
                continue
            if isinstance(op, Policy):
                yield from op.parts(part)
            else:
                yield op, part, None


def _where(chosen: npt.NDArray[np.bool_] | None, found: Numbers, other: Numbers | float) -> Numbers:
    return found if chosen is None else np.where(chosen.reshape(-1, *(1,) * (found.ndim - 1)), found, other)


def _in_pixels(move: Matrices, in_hw: SizeHW, out_hw: SizeHW) -> Matrices:
    """From half-side units about the centre to pixels with integers at pixel centres; identity stays exact."""
    in_wh, out_wh = np.array(in_hw[::-1]), np.array(out_hw[::-1])
    linear = move[:, :2, :2] * (in_wh[:, None] / out_wh)
    reach = out_wh.max() - 1  # taken out of the sum, so that a sum of zero stays one
    centre = (linear * ((out_wh - 1) / max(1, reach))).sum(2) * (reach / 2)
    offset = move[:, :2, 2] * (in_wh / 2) + (in_wh - 1) / 2 - centre
    return np.concatenate([linear, offset[:, :, None]], axis=2)


def _homography_in_pixels(move: Matrices, in_hw: SizeHW, out_hw: SizeHW) -> Matrices:
    """The same with a third row, exactly as `_in_pixels` where there is no perspective."""
    (in_h, in_w), (out_h, out_w) = in_hw, out_hw
    to_pixels = np.array([[in_w / 2, 0, (in_w - 1) / 2], [0, in_h / 2, (in_h - 1) / 2], [0, 0, 1]])
    to_halves = np.array([[2 / out_w, 0, 1 / out_w - 1], [0, 2 / out_h, 1 / out_h - 1], [0, 0, 1]])
    found: Matrices = to_pixels @ move @ to_halves
    found /= found[:, 2:, 2:]
    is_affine = (move[:, 2, :2] == 0).all(1)
    found[is_affine, :2], found[is_affine, 2] = _in_pixels(move[is_affine], in_hw, out_hw), [0, 0, 1]
    return found


def _text(op: Op) -> str:
    return f"{op.kind}({', '.join(f'{name}={value}' for name, value in op if name != 'kind')})"
