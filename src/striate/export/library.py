"""A run's network as torchvision or timm has it: their names of its tensors, loaded by them to be checked."""

import warnings
from collections.abc import Callable, Mapping
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from striate.base import torchvision as tv
from striate.base.errors import ModelError, SettingsError
from striate.base.tensors import read_tensors, write_tensors
from striate.base.text import shown
from striate.model.adapt import roles_of
from striate.model.network import Network
from striate.model.published import timm_name

from .contract import Answers
from .graph import Answering
from .order import Order, Written, answers_of

COUNTERS = "num_batches_tracked"  # of batch normalisation; not a weight
WEIGHTS = "model.safetensors"
FIX = "use --to onnx"
CROPS = {"crop": "center", "letterbox": "border", "squash": "squash"}  # timm's words for how an image is fitted
NORMALISES = ("no normalisation goes into the network of a library", "leave --embed-preprocessing out")


def to_torchvision(order: Order, folder: Path) -> Written:
    """Write the weights under torchvision's names, and say how they are loaded.

    Raises:
        ModelError: torchvision has no such network.
        SettingsError: the network was to normalise images itself.
    """
    network, models = _network(order), tv.load("torchvision.models")
    name, options = network.blueprint.name, {"num_classes": network.outputs}
    if name not in models.list_models():
        raise _missing(order, "torchvision", name)
    if network.channels != 3:
        what = f"torchvision's networks take 3 channels, the run's takes {network.channels}"
        raise ModelError(what, where=order.run, fix="use --to timm or onnx")
    options |= _torchvision_options(network, models.get_model_builder(name))

    def load() -> nn.Module:
        made: nn.Module = models.get_model(name, weights=None, **options)
        return made

    def answers(images: Tensor) -> Answers:
        found, tensors = load(), read_tensors(folder / WEIGHTS)
        try:
            found.load_state_dict(tensors)
        except (RuntimeError, ValueError) as problem:
            what = f"torchvision does not load plain weights of its {name} ({shown(str(problem), 80)})"
            raise ModelError(what, where=order.run, fix=FIX) from problem
        return _answers(order, found, images)

    write_tensors(folder / WEIGHTS, _renamed(order, network, load, f"torchvision's {name}"))
    arguments = ", ".join([f'"{name}"', *(f"{key}={value!r}" for key, value in options.items())])
    use = (
        "import torchvision", "from safetensors.torch import load_file", "",
        f"network = torchvision.models.get_model({arguments})",
        f'network.load_state_dict(load_file("{WEIGHTS}"))', "network.eval()",
    )  # fmt: skip
    more = {"torchvision": {"name": name, "options": options}}
    return Written(
        WEIGHTS, f"the weights of torchvision's {name}", "torchvision's network", answers, config=more, use=use
    )


def _torchvision_options(network: Network, builder: Callable[..., Any]) -> dict[str, Any]:
    """What torchvision must be told so that it builds the same layers."""
    options: dict[str, Any] = {}
    known, has_sides = signature(builder).parameters, bool(network.blueprint.auxiliary_heads)
    if "weights_backbone" in known:
        options["weights_backbone"] = None
    if "aux_loss" in known:
        options["aux_loss"] = has_sides
    elif has_sides:
        options |= {"aux_logits": True, "init_weights": False}
    if _is_fixed(network):
        options["image_size"] = network.size_hw[0]  # of a network on squares; of others the shapes will not fit
    return options


def to_timm(order: Order, folder: Path) -> Written:
    """Write the weights under timm's names with the config.json that `timm.create_model("local-dir:...")` reads.

    Raises:
        ModelError: timm has no such network, or is not installed.
        SettingsError: the network was to normalise images itself.
    """
    tv.load()  # first, since timm imports torchvision
    try:
        timm = tv.load("timm")
    except ImportError as problem:
        raise SettingsError("timm is missing", where="export", fix='pip install "striate[pretrained]"') from problem
    network = _network(order)
    name = timm_name(network.blueprint.name)
    if not timm.is_model(name):
        raise _missing(order, "timm", network.blueprint.name)
    options: dict[str, Any] = {"num_classes": network.outputs}
    options |= {"in_chans": network.channels} if network.channels != 3 else {}
    options |= {"img_size": list(network.size_hw)} if _is_fixed(network) else {}

    def load() -> nn.Module:
        made: nn.Module = timm.create_model(name, **options)
        return made

    def answers(images: Tensor) -> Answers:
        return _answers(order, timm.create_model(f"local-dir:{folder}", pretrained=True), images)

    write_tensors(folder / WEIGHTS, _renamed(order, network, load, f"timm's {name}"))
    use = ("import timm", "", 'network = timm.create_model("local-dir:.", pretrained=True).eval()')
    more = _timm_config(order, network, name, options, load())
    return Written(WEIGHTS, f"the weights of timm's {name}", "timm's network", answers, config=more, use=use)


def _timm_config(
    order: Order, network: Network, name: str, options: Mapping[str, Any], made: nn.Module
) -> dict[str, Any]:
    """What timm reads of config.json; with the names of the layers that it replaces for other classes and channels."""
    predictor, usual = order.predictor, getattr(made, "pretrained_cfg", {})
    names = list(predictor.task.names)
    return {
        "architecture": name,
        "num_classes": network.outputs,
        "num_features": getattr(made, "num_features", None),
        **({"label_names": names} if len(names) == network.outputs else {}),
        "model_args": {key: value for key, value in options.items() if key != "num_classes"},
        "pretrained_cfg": {
            "input_size": [network.channels, *network.size_hw],
            "fixed_input_size": _is_fixed(network),
            "mean": list(predictor.mean),
            "std": list(predictor.std),
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": CROPS[predictor.geometry.fit],
            **{key: usual[key] for key in ("first_conv", "classifier") if key in usual},
        },
    }


LIBRARIES: Mapping[str, Callable[[Order, Path], Written]] = {
    "torchvision": to_torchvision,
    "timm": to_timm,
}


def _network(order: Order) -> Network:
    """The run's network.

    Raises:
        ModelError: it was not made from a blueprint.
        SettingsError: it was to normalise images itself.
    """
    if order.is_normalising:
        raise SettingsError(NORMALISES[0], where="--embed-preprocessing", fix=NORMALISES[1])
    network = order.predictor.network
    if not isinstance(network, Network):
        raise ModelError("a module of your own is in no library", where=order.run, fix=FIX)
    return network


def _missing(order: Order, library: str, name: str) -> ModelError:
    return ModelError(f"{library} has no network {shown(name)}", where=order.run, fix=FIX)


def _is_fixed(network: Network) -> bool:
    """Whether its weights are for images of one size."""
    return bool(roles_of(network).positions)


def _renamed(order: Order, network: Network, load: Callable[[], nn.Module], what: str) -> dict[str, Tensor]:
    """The network's tensors under the names that a library has for them: blueprints keep the order of its layers.

    Raises:
        ModelError: the layers there are others.
    """
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some announce a slow start of weights, which are none here
        theirs = load().state_dict()
    ours = [value for name, value in network.state_dict().items() if not name.endswith(COUNTERS)]
    there = [name for name in theirs if not name.endswith(COUNTERS)]
    if [value.numel() for value in ours] != [theirs[name].numel() for name in there]:
        raise ModelError(f"{what} has other layers than the run's network", where=order.run, fix=FIX)
    values = {name: value.reshape(theirs[name].shape) for name, value in zip(there, ours, strict=True)}
    return {name: values.get(name, torch.zeros((), dtype=torch.int64)) for name in theirs}


class _Main(nn.Module):
    """A library's network with its main outputs alone."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Any:
        """Return the outputs of images (N, C, H, W)."""
        outputs = self.network(images)
        return outputs["out"] if isinstance(outputs, Mapping) else outputs


def _answers(order: Order, network: nn.Module, images: Tensor) -> Answers:
    """What the run's task makes of the outputs of a library's network."""
    module = Answering(_Main(network), order.predictor.task, order.predictor.temperature)
    return answers_of(module.eval(), images)
