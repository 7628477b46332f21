"""The cells of the Neocognitron: contrast, simple and complex cells. Simple cells learn by competition, without labels.

K planes of cells; a plane is what was later called a map: the same cell at every position.
"""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

TINY = 1e-12  # keeps the similarity to an empty patch at 0


class Contrast(nn.Module):
    """On- and off-centre cells: (N, c_in, H, W) -> (N, 2 c_in, H, W), none below 0 and 0 where the image is even.

    Args:
        centre, surround: sides of the squares whose means are compared, in pixels; odd.

    Reference: Fukushima, Neocognitron for handwritten digit recognition, Neurocomputing 51 (2003); squares stand here
    for the fixed weights of its contrast layer.
    """

    def __init__(self, c_in: int, *, centre: int = 3, surround: int = 7) -> None:
        super().__init__()
        self.centre = nn.AvgPool2d(centre, 1, centre // 2, count_include_pad=False)
        self.surround = nn.AvgPool2d(surround, 1, surround // 2, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        difference = self.centre(x) - self.surround(x)
        return torch.cat((difference, -difference), 1).relu()


class SimpleCells(nn.Module):
    """Cells that answer to the patterns they have learned: (N, c_in, H, W) -> (N, width, H, W), from 0 to 1.

    A cell's answer is `relu(s - threshold) / (1 - threshold)`, where s is the similarity of the patch before it and its
    pattern: the cosine of the angle between the two, with the middle of the patch weighing more than its rim.

    Args:
        width: planes of cells.
        kernel: side of the patch; odd.
        threshold: the similarity from which a cell answers, between 0 and 1.

    Reference: Fukushima, Neocognitron, Biological Cybernetics 36 (1980); the inhibition that makes the answer a
    similarity, and the two thresholds, are those of Neurocomputing 51 (2003).
    """

    window: Tensor

    def __init__(self, c_in: int, width: int, *, kernel: int = 5, threshold: float = 0.5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, c_in, kernel, kernel))
        self.register_buffer("window", torch.empty(kernel, kernel))
        self.threshold = threshold

    def initialise(self, generator: Generator) -> None:
        """Start with patterns of chance."""
        self.window.copy_(_bell(self.window.shape[0], 0.9))
        nn.init.uniform_(self.weight, generator=generator)
        with torch.no_grad():
            self.weight.mul_(self.window)

    def forward(self, x: Tensor) -> Tensor:
        return (self.similarity(x)[0] - self.threshold).relu() / (1 - self.threshold)

    def similarity(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return how alike each patch and pattern are (N, width, H, W), and how strong the patch is (N, 1, H, W)."""
        pad = self.window.shape[0] // 2
        excitation = F.conv2d(x, self.weight, padding=pad)
        strength = F.conv2d((x * x).sum(1, keepdim=True), self.window[None, None], padding=pad)
        length = (self.weight * self.weight / self.window).sum((1, 2, 3))
        return excitation / (strength * length[:, None, None] + TINY).sqrt(), strength.sqrt()

    @torch.no_grad()
    def compete(self, x: Tensor, *, threshold: float, area: int = 3) -> None:
        """Learn from one image's maps (1, c_in, H, W): winners take up their patch, new patterns get a free plane.

        Cells compete at each position and with those less than `area` cells away; the winner adds the patch before it
        to its pattern. A plane has one winner at most. The strongest patch that nobody near answers to becomes the
        pattern of the next plane without one.

        Args:
            threshold: in place of the cells' own; higher, so that cells learn narrower than they later answer.
            area: side of the square in which cells compete; odd.
        """
        side = self.window.shape[0]
        patches = F.pad(x[0], [side // 2] * 4).unfold(1, side, 1).unfold(2, side, 1)  # c_in, H, W, side, side
        similar, strength = self.similarity(x)
        answers = similar[0] * (similar[0] > threshold)
        around = F.max_pool2d(answers.amax(0)[None], area, 1, area // 2)[0]
        best, at = (answers * (answers == around)).flatten(1).max(1)
        winners = best.nonzero()[:, 0]
        row, column = at[winners] // x.shape[3], at[winners] % x.shape[3]
        self.weight[winners] += self.window * patches[:, row, column].movedim(1, 0)
        free = (self.weight.flatten(1).amax(1) == 0).nonzero()[:, 0]
        silent = strength[0, 0] * (around == 0)
        if len(free) and silent.max() > strength.max() / 2:
            place = divmod(int(silent.argmax()), x.shape[3])
            self.weight[free[0]] = self.window * patches[:, place[0], place[1]]


class ComplexCells(nn.Module):
    """Cells that answer wherever a simple cell of their plane does: (N, C, H, W) -> (N, C, H / stride, W / stride).

    With e the weighted mean of a plane's answers around a position, and m the mean of e over planes, the answer is
    `y / (saturation + y)` for `y = relu((1 + e) / (1 + m) - 1)`: planes that answer more than the average, saturating.

    Args:
        kernel: side of the square that is averaged; odd.

    Reference: Fukushima, Neocognitron, Biological Cybernetics 36 (1980).
    """

    window: Tensor

    def __init__(self, c_in: int, *, kernel: int = 3, stride: int = 1, saturation: float = 0.5) -> None:
        super().__init__()
        self.register_buffer("window", torch.empty(kernel, kernel))
        self.stride, self.saturation = stride, saturation

    def initialise(self, generator: Generator) -> None:
        """Set the fixed weights of the average."""
        self.window.copy_(_bell(self.window.shape[0], 0.8))

    def forward(self, x: Tensor) -> Tensor:
        side, planes = self.window.shape[0], x.shape[1]
        window = self.window.expand(planes, 1, side, side)
        e = F.conv2d(x, window, stride=self.stride, padding=side // 2, groups=planes)
        y = ((1 + e) / (1 + e.mean(1, keepdim=True)) - 1).relu()
        return y / (self.saturation + y)


def _bell(side: int, decay: float) -> Tensor:
    """Return weights that fall by the factor `decay` with each pixel from the middle; their sum is 1."""
    steps = torch.arange(side) - (side - 1) / 2
    weights = decay ** torch.hypot(steps[:, None], steps[None, :])
    return weights / weights.sum()
