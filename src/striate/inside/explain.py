"""All methods under one roof: which pixels an answer hangs on, for any network and any task."""

import inspect

import torch
from torch import Tensor, nn

from striate.base.choose import choose
from striate.task import Objective, Task
from striate.task.objective import Which

from .cam import grad_cam
from .explanation import Explanation, Method, Report
from .occlusion import occlusion
from .saliency import gradient, integrated, smoothgrad
from .tap import Probe, borrowed

METHODS: dict[str, Method] = {
    "gradient": gradient,
    "smoothgrad": smoothgrad,
    "integrated": integrated,
    "gradcam": grad_cam,
    "occlusion": occlusion,
}
NUM_GIVEN = 3  # parameters of a method that are no settings: probe, images, objective
TITLES = {
    "gradient": "Gradient",
    "smoothgrad": "SmoothGrad",
    "integrated": "Integrated gradients",
    "gradcam": "Grad-CAM",
    "occlusion": "Occlusion",
}

CAVEATS = {
    "gradient": "How a tiny change of each pixel would move the score; noisy, and no share of the score.",
    "smoothgrad": "The gradient averaged over noisy copies: calmer, but the noise decides how calm.",
    "integrated": "Shares of the score above the baseline's; what looks like the baseline gets none.",
    "gradcam": "Where the layer's maps speak for it: as coarse as the layer, and blind to what speaks against.",
    "occlusion": "How the score falls when a patch is covered; a covered image is unlike any it was trained on.",
}


def explain(
    network: nn.Module,
    task: Task,
    images: Tensor,
    *,
    method: str = "gradient",
    which: Which = None,
    report: Report | None = None,
    **settings: object,
) -> list[Explanation]:
    """Return an explanation of each image (N, C, H, W) by one method; the network is given back as it was.

    Args:
        images: as the network gets them: normalised.
        method: one of `METHODS`.
        which: what is explained, see `Task.objective`; by default what the network says of each image.
        report: called with the steps done and all steps; what it raises ends the work.
        settings: of the method.

    Raises:
        SettingsError: method, choice or a setting is unknown or does not fit.
    """
    make = choose("method", method, METHODS)
    known = dict.fromkeys(list(inspect.signature(make).parameters)[NUM_GIVEN:])
    for name in settings:
        choose(f"setting of {method}", name, known)
    with borrowed(task.explained(network)) as probe:
        return make(probe, images, objective_of(probe, task, images, which), report=report, **settings)


def objective_of(probe: Probe, task: Task, images: Tensor, which: Which = None) -> Objective:
    """Return what an explanation of each image is about, chosen from the network's outputs for them."""
    with torch.no_grad():
        return task.objective(probe(probe.ready(images)), which)


def how(explanation: Explanation) -> str:
    """Return in a few words how a map was made: its layer, its settings, how far it is from complete."""
    settings = explanation.settings
    texts = {
        "gradient": "largest of the channels",
        "smoothgrad": f"{settings.get('num')} copies, noise {settings.get('noise')}",
        "integrated": f"from {settings.get('baseline')}, {settings.get('steps')} steps",
        "gradcam": f"layer {explanation.layer}",
        "occlusion": f"patch {settings.get('patch')} px, every {settings.get('stride')} px",
    }
    gap = f"; gap {explanation.gap:.1%}" if explanation.gap is not None else ""
    return texts[explanation.method] + gap
