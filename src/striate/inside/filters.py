"""The classic filters: small kernels whose numbers are chosen by hand, and what each of them shows of a photo.

They are slid over the image as a network slides its own (cross-correlation: not flipped). Beyond the border the
nearest pixel counts, so that a flat area stays flat up to the edge of the image.

Reference: Gonzalez and Woods, Digital Image Processing, 4th edition (2018), chapters 3 and 10; the tuned first
kernels of AlexNet look like many of them (Krizhevsky et al., 2012).
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from striate.base.choose import choose
from striate.base.errors import SettingsError
from striate.base.own import SOFTWARE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[np.float64]
ImageU8 = npt.NDArray[np.uint8]
Rows = Sequence[Sequence[int]]

GREY = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, as the decoder's


@dataclass(frozen=True)
class Filter:
    """A kernel, or two whose answers are joined to a length.

    Args:
        name: how it is called.
        title: how it is written.
        text: what it reveals.
        kernels: whole numbers; two for a magnitude.
        divisor: the whole numbers are divided by this.
    """

    name: str
    title: str
    text: str
    kernels: tuple[Rows, ...]
    divisor: int = 1

    @property
    def arrays(self) -> tuple[Array, ...]:
        """The kernels with the division done."""
        return tuple(np.array(rows, np.float64) / self.divisor for rows in self.kernels)

    @property
    def sum(self) -> float:
        """Sum of a kernel's numbers: 1 keeps the brightness, 0 answers to differences only."""
        return float(np.sum(self.kernels[0])) / self.divisor

    @property
    def is_edge(self) -> bool:
        """Whether flat areas give 0."""
        return self.sum == 0


BOX_5 = [[1] * 5] * 5
BINOMIAL_5 = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]).tolist()
LOG_5 = [[0, 0, 1, 0, 0], [0, 1, 2, 1, 0], [1, 2, -16, 2, 1], [0, 1, 2, 1, 0], [0, 0, 1, 0, 0]]
SOBEL_X, SOBEL_Y = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], [[-1, -2, -1], [0, 0, 0], [1, 2, 1]]

FILTERS = (
    Filter("identity", "Identity", "the image itself", ([[0, 0, 0], [0, 1, 0], [0, 0, 0]],)),
    Filter("smooth", "Smoothing", "a little calmer: noise goes", ([[0, 1, 0], [1, 4, 1], [0, 1, 0]],), 8),
    Filter("box", "Box 5 x 5", "the mean of the neighbours", (BOX_5,), 25),
    Filter("gaussian", "Gaussian 5 x 5", "a softer mean: near counts more", (BINOMIAL_5,), 256),
    Filter("sharpen", "Sharpening", "edges are raised", ([[0, -1, 0], [-1, 5, -1], [0, -1, 0]],)),
    Filter("emboss", "Emboss", "relief, lit from the top left", ([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]],)),
    Filter("laplacian_4", "Laplacian 4", "edges of any direction", ([[0, 1, 0], [1, -4, 1], [0, 1, 0]],)),
    Filter("laplacian_8", "Laplacian 8", "the same, diagonals too", ([[1, 1, 1], [1, -8, 1], [1, 1, 1]],)),
    Filter("laplacian_of_gaussian", "Laplacian of Gaussian", "smoothed first: less noise", (LOG_5,)),
    Filter("sobel_x", "Sobel x", "brightness rising to the right", (SOBEL_X,)),
    Filter("sobel_y", "Sobel y", "brightness rising downwards", (SOBEL_Y,)),
    Filter("sobel", "Sobel magnitude", "how steep, whatever the direction", (SOBEL_X, SOBEL_Y)),
    Filter("prewitt_x", "Prewitt x", "Sobel x without the weights", ([[-1, 0, 1]] * 3,)),
    Filter("prewitt_y", "Prewitt y", "Sobel y without the weights", ([[-1] * 3, [0] * 3, [1] * 3],)),
    Filter("stripes_horizontal", "Horizontal stripes", "thin lines that lie", ([[-1] * 3, [2] * 3, [-1] * 3],)),
    Filter("stripes_vertical", "Vertical stripes", "thin lines that stand", ([[-1, 2, -1]] * 3,)),
    Filter("diagonal_down", "Falling diagonal", "lines like \\", ([[2, -1, -1], [-1, 2, -1], [-1, -1, 2]],)),
    Filter("diagonal_up", "Rising diagonal", "lines like /", ([[-1, -1, 2], [-1, 2, -1], [2, -1, -1]],)),
)


def table() -> dict[str, Filter]:
    """Return the filters by name, in the order in which they are best met.

    Example:
        >>> table()["sobel_x"].kernels
        ([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],)
    """
    return {one.name: one for one in FILTERS}


def apply(image: npt.ArrayLike, name: str) -> Array:
    """Return a filter's answer at each pixel, not clipped: each channel by itself, of the image's shape.

    Args:
        image: (H, W) or (H, W, C), any numbers.
        name: see `table`. Two kernels give the square root of the sum of their squares.

    Raises:
        SettingsError: the filter is unknown, or the image has another number of axes or no pixels.

    Example:
        >>> apply([[0, 0, 8], [0, 0, 8]], "sobel_x")
        array([[ 0., 32., 32.],
               [ 0., 32., 32.]])
    """
    kernels = choose("filter", name, table()).arrays
    pixels = np.asarray(image, np.float64)
    if pixels.ndim not in {2, 3} or not pixels.size:
        raise SettingsError(f"image of shape {pixels.shape}", where="image", fix="give (H, W) or (H, W, C)")
    answers = [correlate(pixels, kernel) for kernel in kernels]
    return answers[0] if len(answers) == 1 else np.sqrt(sum(answer**2 for answer in answers))


def correlate(image: Array, kernel: Array) -> Array:
    """Return the sum of the kernel's numbers times the pixels under it, at each pixel.

    Args:
        image: (H, W) or (H, W, C).
        kernel: (K, K) with odd K; its middle lies on the pixel.
    """
    margin = len(kernel) // 2
    padded = np.pad(image, [(margin, margin)] * 2 + [(0, 0)] * (image.ndim - 2), mode="edge")
    height, width = image.shape[:2]
    result = np.zeros(image.shape)
    for (row, column), weight in np.ndenumerate(kernel):
        if weight:
            result += weight * padded[row : row + height, column : column + width]
    return result


def grey(image: npt.ArrayLike) -> Array:
    """Return the brightness (H, W) of an image (H, W), (H, W, 1) or (H, W, 3)."""
    pixels = np.asarray(image, np.float64)
    if pixels.ndim == 2:
        return pixels
    return pixels @ GREY if pixels.shape[2] == 3 else pixels[..., 0]


def view(image: ImageU8, name: str) -> ImageU8:
    """Return a filter's answer as an image: (H, W, 3), or (H, W) for filters whose sum is 0.

    Filters that keep the brightness work on the colours, clipped to 0..255. The others work on the brightness; their
    answer is shown with mid-grey for 0, dark for negative, bright for positive (a magnitude: black for 0), scaled so
    that all but the strongest percent fit.

    Args:
        image: (H, W, C) uint8, C = 1 or 3.
    """
    chosen = choose("filter", name, table())
    if not chosen.is_edge:
        return np.clip(np.rint(apply(np.broadcast_to(image, (*image.shape[:2], 3)), name)), 0, 255).astype(np.uint8)
    answer = apply(grey(image), name)
    largest = float(np.percentile(np.abs(answer), 99)) or float(np.abs(answer).max()) or 1.0
    zero, span = (127.5, 127.5) if len(chosen.kernels) == 1 else (0.0, 255.0)
    return np.clip(np.rint(zero + span * answer / largest), 0, 255).astype(np.uint8)


INK, QUIET, RULE = "#1c1c1c", "#6b6b6b", "#d9d3c5"
COLOURS = np.array([[255, 255, 255], [251, 227, 200], [207, 220, 236]], np.uint8)  # by sign: 0, 1, -1
COLUMNS = 6
TILE_IN, TEXT_IN, KERNEL_IN, SIDE_IN, GAP_IN, HEAD_IN = 2.1, 0.50, 1.02, 0.78, 0.22, 0.8  # inches


def shrink(image: ImageU8, side_px: int = 280) -> ImageU8:
    """Return the image with its longer side at most `side_px`: on large ones a 3 x 3 kernel shows little."""
    from PIL import Image

    small = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    small.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    return np.asarray(small).reshape(small.height, small.width, image.shape[2])


def poster(image: ImageU8, *, title: str = "") -> bytes:
    """Return a PNG: the photo under each filter, with the numbers of its kernel.

    Args:
        image: (H, W, C) uint8, C = 1 or 3; at about 250 pixels a side the small kernels show best.
        title: printed above, such as the file's name.
    """
    from matplotlib.figure import Figure

    height, width = image.shape[:2]
    tile_in = TILE_IN * min(1.5, max(0.4, height / width))
    step_in = TILE_IN + GAP_IN, TEXT_IN + tile_in + KERNEL_IN + GAP_IN
    size_in = COLUMNS * step_in[0] + GAP_IN, HEAD_IN + -(-len(FILTERS) // COLUMNS) * step_in[1]
    figure = Figure(figsize=size_in, dpi=150, facecolor="white")
    page = figure.add_axes((0, 0, 1, 1))  # in inches from the top left
    page.set_axis_off()
    page.text(GAP_IN, HEAD_IN / 2, "Classic filters", fontsize=19, weight="bold", color=INK, va="center")
    title = title.encode("latin-1", "backslashreplace").decode("latin-1")  # the font has no more letters for sure
    note = f"{title}    edge filters: grey is 0, dark is negative, bright is positive".strip()
    right, middle = size_in[0] - GAP_IN, HEAD_IN / 2
    page.text(right, middle, note, fontsize=9.5, color=QUIET, va="center", ha="right", parse_math=False)
    for index, one in enumerate(FILTERS):
        left = GAP_IN + index % COLUMNS * step_in[0]
        top = HEAD_IN + index // COLUMNS * step_in[1]
        page.text(left, top + 0.14, one.title, fontsize=11, weight="bold", color=INK, va="center")
        page.text(left, top + 0.36, one.text, fontsize=8.5, color=QUIET, va="center")
        shrunk = min(TILE_IN / width, tile_in / height)
        extent = (left, left + width * shrunk, top + TEXT_IN + height * shrunk, top + TEXT_IN)
        page.imshow(view(image, one.name), cmap="gray", vmin=0, vmax=255, extent=extent, interpolation="bicubic")
        _draw_kernels(page, one, left, top + TEXT_IN + tile_in + 0.10)
    page.set_xlim(0, size_in[0])
    page.set_ylim(size_in[1], 0)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor="white", metadata=SOFTWARE)
    return buffer.getvalue()


def _draw_kernels(page: "Axes", one: Filter, left: float, top: float) -> None:
    """The numbers in a grid of squares, positive ones warm and negative ones cold."""
    middle, end = top + SIDE_IN / 2, left + TILE_IN
    if one.divisor > 1:
        page.text(left, middle, f"1/{one.divisor} ×", fontsize=9.5, color=INK, va="center")
        left += 0.34 + 0.08 * len(str(one.divisor))
    for number, rows in enumerate(one.kernels):
        if number:
            page.text(left + 0.09, middle, "and", fontsize=8.5, color=QUIET, va="center", ha="center")
            left += 0.26
        _draw_grid(page, np.array(rows), left, top)
        left += SIDE_IN + 0.08
    if len(one.kernels) == 1:
        page.text(end, middle, f"sum {one.sum:g}", fontsize=8, color=QUIET, va="center", ha="right")


def _draw_grid(page: "Axes", kernel: npt.NDArray[np.int64], left: float, top: float) -> None:
    cell, size = SIDE_IN / len(kernel), 8.5 if len(kernel) == 3 else 6
    page.imshow(COLOURS[np.sign(kernel)], extent=(left, left + SIDE_IN, top + SIDE_IN, top), interpolation="nearest")
    edges = np.arange(len(kernel) + 1) * cell
    page.hlines(top + edges, left, left + SIDE_IN, color=RULE, linewidth=0.6)
    page.vlines(left + edges, top, top + SIDE_IN, color=RULE, linewidth=0.6)
    for (row, column), value in np.ndenumerate(kernel):
        at = left + (column + 0.5) * cell, top + (row + 0.5) * cell
        page.text(*at, str(value).replace("-", "−"), fontsize=size, color=INK, ha="center", va="center_baseline")
