"""The blocks a blueprint's rows name.

A block is called as `block(c_in, width, stride=..., **options)` and returns a module of (N, c_in, H, W) maps (of
signals (N, c_in, L), of volumes (N, c_in, D, H, W)) or
(N, c_in) vectors or (N, c_in, T) tokens. Its signature is its contract, read by the builder:

- first parameter `c_in`: one input and its number of channels; `c_ins`: any number of inputs, a tuple of them;
- `width`, `stride`: only if the block has the parameter may a row give the value;
- `size_hw`: filled with the height and width of the (first) input, for blocks tied to a size;
- `dims`: filled with how many axes its maps have: 1 (signals), 2 (images) or 3 (volumes); a block without it is of
  images alone;
- other keyword parameters are the row's options.

A module with parameters of its own (beyond torch's layers) has a method `initialise(generator)` that sets them.
"""

from collections.abc import Callable

from torch import nn

from .attention import ClassToken, FirstToken, Grid, TokenNorm, Tokens, Transformer
from .cell import Cell
from .conv import conv
from .convnext import ConvNeXtBlock
from .dense import dense
from .dense_head import DenseHead, Places
from .inception import Fire, InceptionResidual, auxiliary_pool, inception
from .inverted import inverted, squeeze_excite
from .join import Add, Concat, Multiply, Onto, Part
from .lecun import PartialConv, Subsample
from .linear import dropout, linear
from .local import LocalConv
from .neocognitron import ComplexCells, Contrast, SimpleCells
from .pool import GlobalPool, adaptive_pool, avg_pool, flatten, max_pool, stride_pool
from .preactivation import normalise, pre_conv
from .queries import Queries, SineTokens
from .recurrent import LastStep, Recurrent
from .regions import Detections, GivenBoxes, MaskHead, PointHead, Proposals, Regions
from .residual import basic, bottleneck, pre_basic, pre_bottleneck
from .resize import Resize, Unpool
from .separable import XceptionUnit, separable
from .upsample import BilinearTransposed, MaxUnpool, Subpixel, Transposed
from .whiten import Whiten

Block = Callable[..., nn.Module]

BLOCKS: dict[str, Block] = {
    "conv": conv,
    "local": LocalConv,
    "whiten": Whiten,
    "max_pool": max_pool,
    "avg_pool": avg_pool,
    "stride_pool": stride_pool,
    "adaptive_pool": adaptive_pool,
    "global_pool": GlobalPool,
    "flatten": flatten,
    "linear": linear,
    "dropout": dropout,
    "basic": basic,
    "bottleneck": bottleneck,
    "pre_basic": pre_basic,
    "pre_bottleneck": pre_bottleneck,
    "inverted": inverted,
    "squeeze_excite": squeeze_excite,
    "convnext": ConvNeXtBlock,
    "cell": Cell,
    "class_token": ClassToken,
    "tokens": Tokens,
    "transformer": Transformer,
    "token_norm": TokenNorm,
    "first_token": FirstToken,
    "grid": Grid,
    "recurrent": Recurrent,
    "last_step": LastStep,
    "resize": Resize,
    "unpool": Unpool,
    "transposed": Transposed,
    "bilinear_transposed": BilinearTransposed,
    "subpixel": Subpixel,
    "max_unpool": MaxUnpool,
    "add": Add,
    "onto": Onto,
    "concat": Concat,
    "multiply": Multiply,
    "part": Part,
    "partial_conv": PartialConv,
    "subsample": Subsample,
    "contrast": Contrast,
    "simple_cells": SimpleCells,
    "complex_cells": ComplexCells,
    "inception": inception,
    "inception_residual": InceptionResidual,
    "auxiliary_pool": auxiliary_pool,
    "fire": Fire,
    "pre_conv": pre_conv,
    "normalise": normalise,
    "dense": dense,
    "separable": separable,
    "xception": XceptionUnit,
    "dense_head": DenseHead,
    "places": Places,
    "proposals": Proposals,
    "given_boxes": GivenBoxes,
    "regions": Regions,
    "detections": Detections,
    "mask_head": MaskHead,
    "point_head": PointHead,
    "sine_tokens": SineTokens,
    "queries": Queries,
}

__all__ = ["BLOCKS", "Block"]
