"""NASNet: cells that a search found on small images, stacked for large ones."""

from functools import partial

from striate.base.errors import SettingsError
from striate.model.blueprint import Blueprint, Row

from .entry import Entry
from .scale import norm_like

PAPER = "Zoph et al., Learning Transferable Architectures for Scalable Image Recognition, arXiv:1707.07012"

# Figure 4 of the paper. State 0 is the map before the previous one, 1 the previous map, 2 the first pair's result.
NORMAL = (
    ("separable5", 1, "separable3", 0),
    ("separable5", 0, "separable3", 0),
    ("avg3", 1, "same", 0),
    ("avg3", 0, "avg3", 0),
    ("separable3", 1, "same", 1),
)
REDUCTION = (
    ("separable5", 1, "separable7", 0),
    ("max3", 1, "separable7", 0),
    ("avg3", 1, "separable5", 0),
    ("same", 3, "avg3", 2),
    ("separable3", 2, "max3", 1),
)


def nasnet(
    name: str,
    size: int,
    /,
    *,
    width: int,
    depth: int,
    stem: int,
    norm: str = "batch",
    activation: str = "relu",
    dropout: float = 0.0,
    drop_path: float = 0.0,
) -> Blueprint:
    """Return figure 2 of the paper: a stem with two reduction cells, three times `depth` normal cells, two reductions.

    Args:
        width: channels of the first normal cells' states; then 2 and 4 times as many. "6 @ 4032" is depth 6 and
            4032 = 24 x 168 channels at the end.
        depth: normal cells between reductions.
        stem: channels of the first convolution.
        dropout: rate before the last layer.
        drop_path: rate in the last cell at which single paths are left out, growing linearly from 0 in the first.
    """
    if width < 4 or depth < 1:
        raise SettingsError(f"width {width}, depth {depth} cannot be", where=name, fix="give width >= 4, depth >= 1")
    rows = [Row("conv", stem, stride=2, options={"padding": "valid", "activation": "none"}, name="stem")]
    plan = [("stem_cell1", width // 4, 2), ("stem_cell2", width // 2, 2)]
    for part in range(3):
        plan += [(f"reduction{part}", width * 2**part, 2)] if part else []
        plan += [(f"cell{part * depth + index}", width * 2**part, 1) for index in range(1, depth + 1)]
    older, old, shrink = "", "stem", False
    for index, (cell, wide, stride) in enumerate(plan):
        rate = drop_path * index / (len(plan) - 1)
        options = ({"shrink": True} if shrink else {}) | ({"drop_path": rate} if rate else {})
        inputs = (old, older) if older else (old,)
        rows.append(Row("cell", wide, stride=stride, inputs=inputs, options=options, name=cell))
        # as in the published weights, the cell after a reduction takes the older of the maps that the reduction took
        older, old, shrink = (older if cell.startswith("reduction") else old), cell, stride == 2
    rows += [
        Row("normalise", options={"norm": "none"}, name="last"),
        Row("global_pool", name="mean"),
        *([Row("dropout", options={"rate": dropout}, name="dropout")] if dropout else []),
        Row("linear", options={"norm": "none", "activation": "none"}, name="outputs"),
    ]
    cells = {"pairs": NORMAL, "give": (0, 2, 3, 4, 5, 6), "reduction_pairs": REDUCTION, "reduction_give": (3, 4, 5, 6)}
    defaults = {"norm": norm_like(norm, eps=0.001), "activation": activation, **cells}
    return Blueprint(name, tuple(rows), paper=PAPER, size=size, defaults=defaults)


ENTRIES = {
    "nasnetalarge": Entry(
        partial(nasnet, "nasnetalarge", 331, width=168, depth=6, stem=96), PAPER, 2017, "searched cells, 6 @ 4032"
    ),
    "nasnetamobile": Entry(
        partial(nasnet, "nasnetamobile", 224, width=44, depth=4, stem=32), PAPER, 2017, "searched cells, 4 @ 1056"
    ),
}
