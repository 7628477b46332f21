"""What is known of each image, one kind a file. A target knows itself: nobody asks for its kind."""

from .angle import Angle
from .boxes import Boxes
from .image import Image
from .itself import Itself
from .label import Label
from .mask import Mask
from .number import Number
from .place import Place
from .points import Points
from .ragged import Ragged
from .tags import Tags
from .target import Target, Values
from .volume_mask import VolumeMask

KINDS: tuple[type[Target], ...] = (Label, Tags, Number, Mask, Boxes, Points, Image)  # of which something is known
_WITH_ITSELF: tuple[type[Target], ...] = (*KINDS, Itself)

TASK_KINDS: dict[str, tuple[str, ...]] = {  # the tasks that `--task` takes, and the targets they predict; a task of
    task: tuple(cls.kind for cls in _WITH_ITSELF if task in cls.tasks)  # a user's own adds a line
    for task in dict.fromkeys(task for cls in _WITH_ITSELF for task in cls.tasks)
}

__all__ = [
    "KINDS",
    "TASK_KINDS",
    "Angle",
    "Boxes",
    "Image",
    "Itself",
    "Label",
    "Mask",
    "Number",
    "Place",
    "Points",
    "Ragged",
    "Tags",
    "Target",
    "Values",
    "VolumeMask",
]
