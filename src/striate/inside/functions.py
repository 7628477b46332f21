"""What PyTorch's functions are called, which kind of operation each is, and what its arguments mean."""

from typing import Any

CONV = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
CONV_TRANSPOSE = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
MAX_POOL = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
AVG_POOL = ("input", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
BATCH_NORM = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
TWO = ("input", "other", "alpha")

ARGUMENTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), CONV),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), CONV_TRANSPOSE),
    **dict.fromkeys(("max_pool1d", "max_pool2d", "max_pool3d"), MAX_POOL),
    **dict.fromkeys(("max_pool1d_with_indices", "max_pool2d_with_indices", "max_pool3d_with_indices"), MAX_POOL),
    **dict.fromkeys(("avg_pool1d", "avg_pool2d", "avg_pool3d"), AVG_POOL),
    "batch_norm": BATCH_NORM,
    "linear": ("input", "weight", "bias"),
    **dict.fromkeys(("add", "sub", "subtract", "rsub", "__rsub__", "__radd__", "__add__", "__sub__", "__iadd__"), TWO),
    **dict.fromkeys(("mul", "multiply", "div", "divide", "true_divide", "__rmul__", "__mul__", "__imul__"), TWO),
    **dict.fromkeys(("cat", "concat", "concatenate"), ("tensors", "dim")),
    **dict.fromkeys(("softmax", "log_softmax"), ("input", "dim")),
    "group_norm": ("input", "num_groups", "weight", "bias", "eps"),
    "layer_norm": ("input", "normalized_shape", "weight", "bias", "eps"),
    "leaky_relu": ("input", "negative_slope"),
    "hardtanh": ("input", "min_val", "max_val"),
    "elu": ("input", "alpha"),
    "prelu": ("input", "weight"),
    "pad": ("input", "pad", "mode", "value"),
    "flatten": ("input", "start_dim", "end_dim"),
    "mean": ("input", "dim"),
    "dropout": ("input", "p"),
}

ACTIVATIONS = (
    *("relu", "relu6", "hardtanh", "silu", "gelu", "hardswish", "hardsigmoid", "sigmoid", "tanh", "leaky_relu", "elu"),
    *("prelu", "selu", "celu", "softplus", "mish", "clamp", "clamp_min", "clip", "softsign", "logsigmoid", "abs"),
    *("square", "exp", "sqrt", "pow", "__pow__", "neg", "__neg__", "threshold", "rrelu"),
)
COPYING = (
    *("flatten", "view", "reshape", "squeeze", "unsqueeze", "permute", "transpose", "chunk", "split", "narrow"),
    *(
        "__getitem__",
        "pixel_shuffle",
        "pixel_unshuffle",
        "channel_shuffle",
        "expand",
        "swapaxes",
        "movedim",
        "unflatten",
    ),
    *("select", "unbind", "tensor_split", "repeat", "flip", "roll", "T", "mT", "expand_as", "view_as", "t", "stack"),
    *("split_with_sizes", "swapdims", "moveaxis", "index_select", "repeat_interleave", "native_channel_shuffle"),
)
DROPOUTS = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_dropout", "stochastic_depth")

KINDS: dict[str, str] = {
    **{name: "conv" for name in ARGUMENTS if name.startswith("conv") and "transpose" not in name},
    **{name: "conv_transpose" for name in ARGUMENTS if name.startswith("conv_transpose")},
    **{name: "max_pool" for name in ARGUMENTS if name.startswith("max_pool")},
    **{name: "avg_pool" for name in ARGUMENTS if name.startswith("avg_pool")},
    **dict.fromkeys(("cat", "concat", "concatenate"), "concat"),
    **dict.fromkeys(("add", "sub", "subtract", "rsub", "__rsub__", "__radd__", "__add__", "__sub__"), "add"),
    **dict.fromkeys(("mul", "multiply", "div", "divide", "true_divide", "__rmul__", "__mul__"), "multiply"),
    **dict.fromkeys(ACTIVATIONS, "activation"),
    **dict.fromkeys(COPYING, "reshape"),
    **dict.fromkeys(DROPOUTS, "dropout"),
    **dict.fromkeys(("softmax", "log_softmax"), "softmax"),
    **dict.fromkeys(
        ("group_norm", "layer_norm", "instance_norm", "rms_norm", "normalize", "local_response_norm"), "norm"
    ),
    **dict.fromkeys(("mean", "sum"), "mean"),
    **dict.fromkeys(("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"), "mean"),
    **dict.fromkeys(("interpolate", "upsample"), "resize"),
    **dict.fromkeys(("matmul", "bmm", "mm", "__matmul__", "einsum", "baddbmm"), "matmul"),
    **dict.fromkeys(("scaled_dot_product_attention", "multi_head_attention_forward"), "attention"),
    "pad": "pad",
    "batch_norm": "batch_norm",
    "linear": "linear",
}
SAME = {"clone", "contiguous", "detach", "to", "float", "type_as", "requires_grad_", "data", "type", "double", "cpu"}
WRITING = {"__setitem__", "__iadd__", "__isub__", "__imul__", "__idiv__", "__itruediv__", "copy_"}


def plain(name: str) -> str:
    """Return a function's name without what says that it works in place, and that it is a property.

    Example:
        >>> plain("relu_"), plain("__iadd__"), plain("__add__"), plain("add_")
        ('relu', 'add', '__add__', 'add')
    """
    if name.startswith("__i") and name.endswith("__"):
        return name[3:-2].removeprefix("true")
    return name if name.endswith("__") or not name.endswith("_") else name.rstrip("_")


def kind_of(name: str) -> str:
    """Return the kind of a function, "other" of one that is not in the table.

    Example:
        >>> kind_of("conv2d"), kind_of("cumsum")
        ('conv', 'other')
    """
    return KINDS.get(name, "other")


def is_writing(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a call may write into a tensor that it is given."""
    is_method = name in WRITING or (name.endswith("_") and not name.endswith("__"))
    is_asked = bool(kwargs.get("inplace")) or (name in ACTIVATIONS + DROPOUTS and any(one is True for one in args[1:]))
    return is_method or is_asked or kwargs.get("out") is not None
