"""A block and a network of one's own: `striate train DATA --plugin network.py --model gated`."""

from functools import partial

from torch import Tensor, nn

from striate.model.blueprint import Blueprint, Row
from striate.model.zoo import ZOO
from striate.model.zoo.entry import Entry
from striate.nn.blocks import BLOCKS


class Gated(nn.Module):
    """A 3x3 convolution times the sigmoid of another: (N, c_in, H, W) -> (N, width, H / stride, W / stride)."""

    def __init__(self, c_in: int, width: int, *, stride: int = 1) -> None:
        super().__init__()
        self.value, self.gate = (nn.Conv2d(c_in, width, 3, stride, 1) for _ in range(2))

    def forward(self, images: Tensor) -> Tensor:
        """Return the gated maps."""
        return self.value(images) * self.gate(images).sigmoid()


def gated(name: str, /, *, width: int = 16, depth: int = 3) -> Blueprint:
    """Return a pyramid of gated convolutions; its options are `--set model.width=` and `model.depth=`."""
    stages = [Row("gated", width * 2**stage, stride=2, name=f"stage{stage + 1}") for stage in range(depth)]
    return Blueprint(name, (*stages, Row("global_pool", name="pool"), Row("linear", name="outputs")))


BLOCKS["gated"] = Gated
ZOO["gated"] = Entry(partial(gated, "gated"), paper="none: an example", year=2026, text="gated convolutions")
