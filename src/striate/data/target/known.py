"""The classes of data that a finished run is evaluated on, held against the run's."""

from collections.abc import Sequence

import numpy as np

from striate.base.choose import nearest
from striate.base.errors import DataError
from striate.base.text import plural, shown

from ..check.finding import listed
from .target import Target


def refuse_strange(target: Target, names: tuple[str, ...], where: str) -> None:
    """Return if the classes that have images are all among the run's `names`.

    Raises:
        DataError: one is not.
    """
    counts = target.counts(np.arange(len(target)))
    refuse_strange_names([name for name, count in zip(target.names, counts, strict=True) if count], names, where)


def refuse_strange_names(present: Sequence[str], names: tuple[str, ...], where: str) -> None:
    """Return if the classes that are `present` are all among the run's `names`.

    Raises:
        DataError: one is not.
    """
    strange = [name for name in present if name not in names]
    if strange:
        close = nearest(strange[0], names)
        what = f"{plural(len(strange), 'class', 'classes')} that the run does not know: {listed(strange, 3)}"
        fix = f"rename it to {shown(close, 30)!r}" if close else "take them out, or name them as in training"
        raise DataError(f"{what}; it knows {listed(names, 3)}", where=where, fix=fix)
