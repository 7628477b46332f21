"""What the name of a tensor says it is, in the words of PyTorch, Keras, MXNet and others."""

import re

WORDS = {
    "weight": ("weight", "weights", "gamma", "kernel"),
    "bias": ("bias", "biases", "beta"),
    "running_mean": ("running_mean", "moving_mean"),
    "running_var": ("running_var", "running_variance", "moving_var", "moving_variance"),
    "num_batches_tracked": ("num_batches_tracked",),
}
_KINDS = {word: kind for kind, words in WORDS.items() for word in words}
_LAST = re.compile(rf"(?:^|[^a-z])({'|'.join(sorted(_KINDS, key=len, reverse=True))})(?::\d+)?$")


def tensor_kind(name: str) -> str:
    """Return what a tensor is by the last word of its name, in PyTorch's word; empty where that says nothing known.

    Example:
        >>> [tensor_kind(name) for name in ("conv1.weight", "block1/bn/gamma:0", "bn0_moving_var", "cls_token")]
        ['weight', 'weight', 'running_var', '']
    """
    found = _LAST.search(name.lower())
    return _KINDS[found[1]] if found else ""
