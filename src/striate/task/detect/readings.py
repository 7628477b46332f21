"""The kinds of detector by name, which is that of their network."""

from collections.abc import Callable

from .anchored import RetinaNet, Ssd
from .detr import Detr
from .faster_rcnn import FasterRcnn
from .fcos import Fcos
from .one_stage import OneStage
from .reading import Dense, DetectOptions, Reading
from .yolo_v1 import YoloV1

USUAL = OneStage.name
KINDS: tuple[type[Dense], ...] = (OneStage, RetinaNet, Fcos, Ssd, YoloV1, FasterRcnn, Detr)
READINGS: dict[str, Callable[[DetectOptions], Reading]] = {one.name: one for one in KINDS}
