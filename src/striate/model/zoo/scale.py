"""What options do to a family's numbers: channels times a factor, stochastic depth that grows, batch-norm's eps."""

from collections.abc import Mapping, Sequence
from typing import Any

from striate.base.errors import SettingsError


def scaled(channels: int, factor: float, multiple: int = 1) -> int:
    """Return a number of channels times a factor, as the nearest multiple of `multiple`, at least that.

    Raises:
        SettingsError: the factor is not above 0.

    Example:
        >>> scaled(64, 1.0), scaled(96, 0.33), scaled(3, 0.1)
        (64, 32, 1)
    """
    if factor <= 0:
        raise SettingsError(f"width {factor} is not above 0", fix="give 1.0 for the published width, 0.5 for half")
    return max(multiple, round(channels * factor / multiple) * multiple)


def widened(ways: Any, factor: float) -> Any:
    """Return an Inception module's ways with all numbers of channels times a factor.

    Example:
        >>> widened([[(64, 1)], [("max", 3), (32, 1)]], 0.5)
        (((32, 1),), (('max', 3), (16, 1)))
    """
    if isinstance(ways[0], list | tuple):
        return tuple(widened(way, factor) for way in ways)
    return (scaled(ways[0], factor) if isinstance(ways[0], int) else ways[0], *ways[1:])


def rising(last: float, depths: Sequence[int]) -> list[dict[str, Any]]:
    """Return each stage's `each` of stochastic depth: rates from 0 in the first block to `last` in the last.

    Example:
        >>> rising(0.2, (2, 1))
        [{'drop_path': (0.0, 0.1)}, {'drop_path': (0.2,)}]
    """
    if not last:
        return [{} for _ in depths]
    step, stages, done = last / max(1, sum(depths) - 1), [], 0
    for depth in depths:
        stages.append({"drop_path": tuple(step * (done + block) for block in range(depth))})
        done += depth
    return stages


def norm_like(norm: str | Mapping[str, Any], **settings: float) -> str | dict[str, Any]:
    """Return the normalisation; if it is "batch", with the settings that the published weights were trained with.

    Example:
        >>> norm_like("batch", eps=0.001), norm_like("group", eps=0.001)
        ({'kind': 'batch', 'eps': 0.001}, 'group')
    """
    if norm == "batch":
        return {"kind": "batch", **settings}
    return norm if isinstance(norm, str) else dict(norm)


def check_head(head: str, where: str) -> None:
    """Refuse a head that is neither "flatten" (dense layers on every position) nor "pool" (on the mean of each map)."""
    if head not in {"flatten", "pool"}:
        raise SettingsError(f"no head {head!r}", where=where, fix="use flatten or pool")


def divisible(channels: float, factor: float = 1.0, multiple: int = 8) -> int:
    """Return channels times a factor as a multiple of `multiple`, nearest but never more than a tenth below.

    This is the rule of the MobileNet family; `scaled` is the plain one.

    Raises:
        SettingsError: the factor is not above 0.

    Example:
        >>> divisible(32, 0.5), divisible(24, 0.75), divisible(3, 0.1), divisible(83), divisible(18)
        (16, 24, 8, 80, 24)
    """
    if factor <= 0:
        raise SettingsError(f"width {factor} is not above 0", fix="give 1.0 for the published width, 0.5 for half")
    near = max(multiple, int(channels * factor + multiple / 2) // multiple * multiple)
    return near if near >= 0.9 * channels * factor else near + multiple


def blocks(depth: Any, stages: int = 0) -> tuple[int, ...]:
    """Return the number of blocks in each stage.

    Args:
        stages: how many there must be; 0 = any number.

    Raises:
        SettingsError: it is not a list of whole numbers of at least 1, or of another length.

    Example:
        >>> blocks([3, 4, 6, 3])
        (3, 4, 6, 3)
    """
    is_list = isinstance(depth, list | tuple) and len(depth) > 0
    if not is_list or not all(isinstance(count, int) and count > 0 for count in depth):
        raise SettingsError(f"depth {depth!r} is no list of blocks a stage", fix="give a list like [2, 2, 2, 2]")
    if stages and len(depth) != stages:
        raise SettingsError(f"depth {depth!r} must have {stages} stages", fix=f"give {stages} numbers")
    return tuple(depth)
