"""What a run's automatic settings came to: the recipe as it was carried out."""

from typing import Any

from torch import nn

from striate.base.size import typed_size
from striate.engine.update import aux_weight_of
from striate.model.ablate import split_name
from striate.model.zoo import ZOO, options
from striate.transfer.stages import patience_of, stages

from .network import Model, name_of
from .prepare import Prepared
from .settings import ModelSettings


def resolved(prepared: Prepared, network: nn.Module, model: Model, precision: str) -> dict[str, Any]:
    """Return the recipe with every automatic value replaced by the one used; what has no effect here is left out.

    That is: options that the network does not have, how weights want their images where there are none.
    """
    recipe, settings = prepared.recipe, prepared.recipe.train
    course = stages(settings, prepared.num_epochs)
    found: dict[str, Any] = recipe.model_dump(mode="json")
    found["augment"] = [op.model_dump(mode="json") for op in prepared.pipeline.ops]
    found["data"] |= {"size": typed_size(prepared.geometry.size_hw)}
    found["model"] = _options(recipe.model.options(), name_of(model))
    found["train"] |= {
        "epochs": prepared.num_epochs,
        "batch_size": prepared.batch_size,
        "lr": course[0].lr,
        "patience": patience_of(settings, prepared.num_epochs),
        "aux_weight": aux_weight_of(network, settings.aux_weight),
        "precision": precision,
    }
    for row, stage in zip(found["train"]["stages"], course, strict=False):
        row["lr"] = stage.lr
    return {key: _known(value) for key, value in found.items()}


def _options(given: dict[str, Any], name: str) -> dict[str, Any]:
    """The recipe's options and, for a network of the zoo, what it takes for those that were left to it."""
    known = options(split_name(name)[0]) if split_name(name)[0] in ZOO else {}
    fields = {key: known[key] for key in ModelSettings.model_fields if isinstance(known.get(key), str | int | float)}
    return fields | given


def _known(value: Any) -> Any:
    return {key: item for key, item in value.items() if item is not None} if isinstance(value, dict) else value
