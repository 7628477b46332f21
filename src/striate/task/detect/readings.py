"""The kinds of detector by name, which is that of their network."""

from collections.abc import Callable

from .one_stage import OneStage
from .reading import DetectOptions, Reading

USUAL = OneStage.name
READINGS: dict[str, Callable[[DetectOptions], Reading]] = {kind.name: kind for kind in (OneStage,)}
