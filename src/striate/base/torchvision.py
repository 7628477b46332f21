"""Import torchvision, also beside a torch build that its compiled operators do not fit.

A torchvision built for CUDA beside a CPU-only torch cannot load its operators, and its import ends in
"operator torchvision::nms does not exist". Models, datasets and transforms are plain Python and need none of
them, so the two missing operator names are declared here first; calling one of them still fails.
"""

import importlib
from types import ModuleType

_library: object = None  # kept alive: the declarations last as long as this object


def load(name: str = "torchvision") -> ModuleType:
    """Return the torchvision module `name`, for example `torchvision.models`.

    Raises:
        ImportError: torchvision is not installed.
    """
    try:
        return importlib.import_module(name)
    except RuntimeError as problem:
        if "torchvision::nms" not in str(problem):
            raise
    _declare_missing()
    importlib.import_module("torchvision")  # parts of it may be there from the attempt: they alone are not enough
    return importlib.import_module(name)


def _declare_missing() -> None:
    import torch

    global _library
    _library = library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
