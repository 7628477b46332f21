"""The kinds of detector by name, which is that of their network."""

from collections.abc import Callable

from .anchored import RetinaNet, Ssd
from .detr import Detr
from .fast_rcnn import FastRcnn
from .faster_rcnn import FasterRcnn
from .fcos import Fcos
from .keypoint_rcnn import KeypointRcnn
from .mask_rcnn import MaskRcnn
from .one_stage import OneStage
from .rcnn import Rcnn
from .reading import DetectOptions, Reading
from .yolo_v1 import YoloV1

USUAL = OneStage.name
READINGS: dict[str, Callable[[DetectOptions], Reading]] = {
    OneStage.name: OneStage,
    RetinaNet.name: RetinaNet,
    Fcos.name: Fcos,
    Ssd.name: Ssd,
    YoloV1.name: YoloV1,
    FastRcnn.name: FastRcnn,
    FasterRcnn.name: FasterRcnn,
    MaskRcnn.name: MaskRcnn,
    KeypointRcnn.name: KeypointRcnn,
    Detr.name: Detr,
    Rcnn.name: Rcnn,
}
