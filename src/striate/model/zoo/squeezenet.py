"""SqueezeNet: AlexNet's accuracy with a fiftieth of its parameters."""

from functools import partial
from typing import Any

from striate.model.blueprint import Blueprint, Row

from .entry import Entry
from .scale import scaled

PAPER = "Iandola et al., SqueezeNet, arXiv:1602.07360"

# Table 1: fire2 to fire9 as (squeeze, expand 1x1 + expand 3x3), and where max-pooling stands.
FIRES = ((16, 128), (16, 128), (32, 256), (32, 256), (48, 384), (48, 384), (64, 512), (64, 512))
VERSIONS: dict[str, dict[str, Any]] = {
    "squeezenet1_0": {"stem": (96, 7), "pools": (2, 5, 9)},
    "squeezenet1_1": {"stem": (64, 3), "pools": (2, 4, 6)},
}


def squeezenet(
    name: str,
    stem: tuple[int, int],
    pools: tuple[int, ...],
    /,
    *,
    width: float = 1.0,
    norm: str = "none",
    activation: str = "relu",
    dropout: float = 0.5,
) -> Blueprint:
    """Return table 1 of the paper: fire modules; the last convolution gives a map for each class, and its mean.

    Args:
        width: factor of all channels.
        dropout: rate before the last convolution.
    """
    channels, kernel = stem
    rows = [
        Row("conv", scaled(channels, width), stride=2, options={"kernel": kernel, "padding": "valid"}, name="conv1")
    ]
    for number, (squeeze, expand) in enumerate(FIRES, 2):
        if number in pools:
            before = f"pool{number - 1}"
            rows.append(Row("max_pool", stride=2, options={"kernel": 3, "ceil": True}, name=before))
        options = {"squeeze": scaled(squeeze, width)}
        rows.append(Row("fire", scaled(expand, width, 2), options=options, name=f"fire{number}"))
    rows += [
        Row("dropout", options={"rate": dropout}, name="dropout"),
        Row("conv", options={"kernel": 1, "norm": "none"}, name="conv10"),
        Row("global_pool", name="mean"),
    ]
    return Blueprint(name, tuple(rows), paper=PAPER, defaults={"norm": norm, "activation": activation}, head="dropout")


def _entry(name: str, stem: tuple[int, int], pools: tuple[int, ...]) -> Entry:
    text = f"eight fire modules after a {stem[1]}x{stem[1]} convolution"
    return Entry(partial(squeezenet, name, stem, pools), PAPER, 2016, text)


ENTRIES = {name: _entry(name, **version) for name, version in VERSIONS.items()}
