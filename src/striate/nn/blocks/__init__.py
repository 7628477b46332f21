"""The blocks a blueprint's rows name.

A block is called as `block(c_in, width, stride=..., **options)` and returns a module of (N, c_in, H, W) maps or
(N, c_in) vectors. Its signature is its contract, read by the builder:

- first parameter `c_in`: one input and its number of channels; `c_ins`: any number of inputs, a tuple of them;
- `width`, `stride`: only if the block has the parameter may a row give the value;
- `size_hw`: filled with the height and width of the (first) input, for blocks tied to a size;
- other keyword parameters are the row's options.

A module with parameters of its own (beyond torch's layers) has a method `initialise(generator)` that sets them.
"""

from collections.abc import Callable

from torch import nn

from .conv import conv
from .join import Add, Concat
from .linear import dropout, linear
from .pool import GlobalPool, adaptive_pool, avg_pool, flatten, max_pool
from .residual import basic, bottleneck

Block = Callable[..., nn.Module]

BLOCKS: dict[str, Block] = {
    "conv": conv,
    "max_pool": max_pool,
    "avg_pool": avg_pool,
    "adaptive_pool": adaptive_pool,
    "global_pool": GlobalPool,
    "flatten": flatten,
    "linear": linear,
    "dropout": dropout,
    "basic": basic,
    "bottleneck": bottleneck,
    "add": Add,
    "concat": Concat,
}

__all__ = ["BLOCKS", "Block"]
