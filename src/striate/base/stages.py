"""The stages of a training as a recipe's table says them, of this version or an older one."""

from collections.abc import Mapping
from typing import Any

from .errors import SettingsError

OLD = (
    "frozen",
    "frozen_epochs",
    "then_frozen",
    "then_lr",
)  # how recipes said one or two stages before they listed them


def stages_in(train: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the stages that a recipe's table `train` lists; the older keys count on top of what it lists.

    Raises:
        SettingsError: older keys that make no two stages, or beside a list that they cannot say.

    Example:
        >>> stages_in({"frozen": "body", "frozen_epochs": 4, "then_lr": 0.001})
        [{'epochs': 4, 'frozen': 'body'}, {'lr': 0.001}]
        >>> stages_in({"stages": [{"frozen": "body"}], "frozen": ""})
        []
    """
    listed = [dict(stage) for stage in train.get("stages") or ()]
    if not any(key in train for key in OLD):
        return listed
    if len(listed) > 2 or any(stage.get("lr") for stage in listed[:1]):
        what = "frozen, frozen_epochs, then_frozen and then_lr can change one or two stages, not these"
        raise SettingsError(what, where="train", fix="write train.stages")
    values = {**_in_old_keys(listed), **{key: train[key] for key in OLD if key in train}}
    values = {key: value for key, value in values.items() if isinstance(value, bool) or value not in ("", 0, None)}
    if "frozen_epochs" in values and "frozen" not in values:
        raise SettingsError("frozen_epochs without frozen rows", where="train", fix="set train.frozen=body too")
    if "frozen_epochs" not in values:
        if values.keys() - {"frozen"}:
            what = "then_frozen and then_lr are for the epochs after frozen_epochs"
            raise SettingsError(what, where="train", fix="set train.frozen_epochs too")
        return [values] if values else []
    first = {"epochs": values["frozen_epochs"], "frozen": values["frozen"]}
    then = {new: values[old] for new, old in (("frozen", "then_frozen"), ("lr", "then_lr")) if old in values}
    return [first, then]


def with_stages(train: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe's table `train` with the older keys as stages."""
    return {**{key: value for key, value in train.items() if key not in OLD}, "stages": stages_in(train)}


def has_frozen_body(train: Mapping[str, Any]) -> bool:
    """Return whether nothing before the head ever trains."""
    listed = stages_in(train)
    return bool(listed) and all(stage.get("frozen") == "body" for stage in listed)


def _in_old_keys(stages: list[dict[str, Any]]) -> dict[str, Any]:
    first, then = (*stages, {}, {})[:2]
    found = {"frozen": first.get("frozen"), "frozen_epochs": first.get("epochs")}
    return found | {"then_frozen": then.get("frozen"), "then_lr": then.get("lr")}
