"""R-CNN and Fast R-CNN, whose regions come from outside: each is run alone, or all are read from one map."""

from dataclasses import replace

from striate.model.blueprint import IMAGE, Blueprint, Row

from .detector_rows import (
    ENCODER,
    ENDS,
    NUM_LEVELS,
    SIZE,
    as_body,
    pyramid,
    second_look,
    until_last_but_one,
)
from .encoder import Body, Encoder

PAPER_RCNN = "Girshick et al., Rich feature hierarchies for accurate object detection, arXiv:1311.2524"
PAPER_FAST = "Girshick, Fast R-CNN, arXiv:1504.08083"


def fast_rcnn(
    name: str,
    /,
    *,
    encoder: Encoder | Body = ENCODER,
    width: int = 64,
    regions: int = 300,
    units: int = 256,
    levels: int = NUM_LEVELS,
    pool: str = "align",
    norm: str = "batch",
    activation: str = "relu",
    dropout: float = 0.0,
) -> Blueprint:
    """Return figure 1 of the paper: the map is made once an image, and read inside the boxes that a search proposes.

    The paper's has one map, 4,096 units, and takes the largest numbers: `levels=1, units=4096, pool="max"`.

    Args: as for `one_stage`; and
        regions: boxes of an image, where it is drawn and counted; a run has `task.proposals`.
        units: of the two layers that see what is in a box.
        levels: maps of the encoder in the pyramid, of which a box is looked at on one; 1 is one for all, as it is.
        pool: "align" or "max", see `striate.nn.blocks.regions.Regions`.
    """
    body, rows = as_body(encoder), list[Row]()
    if levels > 1:
        rows, names = pyramid(body.levels[-levels:], width, {"norm": norm, "activation": activation}, extra=1)
    else:
        body, names = until_last_but_one(body)
    rows.append(Row("given_boxes", inputs=(IMAGE,), options={"num": regions}, name="proposals"))
    rows += second_look(names, "proposals", units=units, activation=activation, dropout=dropout, pool=pool)
    rows.append(Row("places", inputs=(*names, IMAGE), name="places"))
    assert body.whole is not None, "detectors begin with a network of the zoo"
    return body.blueprint(name, rows, body.whole.defaults, paper=PAPER_FAST, size=SIZE, ends=(*ENDS, "proposals"))


def rcnn(name: str, /, *, encoder: Encoder | Body = ENCODER) -> Blueprint:
    """Return figure 1 of the paper: a network that is shown one region after the other, warped to one size.

    Args:
        encoder: a network of the zoo that ends in a linear layer on a vector: the whole of it.
    """
    body = as_body(encoder)
    assert body.whole is not None, "detectors begin with a network of the zoo"
    return replace(body.whole, name=name, paper=PAPER_RCNN, encoder=dict(body.given or {}))
