"""Striate: a workbench for convolutional networks.

>>> import striate as st
>>> data = st.open("toy:shapes?n=200")
>>> run = st.train(data, "bipyramid", recipe="regularized", seed=0)          # doctest: +SKIP
>>> study = st.study(data, st.ladder(), seeds=3)                             # doctest: +SKIP
>>> print(study.verdict)                                                     # doctest: +SKIP
"""

from importlib import import_module
from typing import Any

__version__ = "0.2.0"

_WHERE = {  # public name -> (module, name in it); loaded on first use, so that `import striate` is quick
    "open": ("striate.data", "open_dataset"),
    "from_arrays": ("striate.data.memory", "from_arrays"),
    "from_table": ("striate.data.memory", "from_table"),
    "from_dataset": ("striate.data.memory", "from_dataset"),
    "check": ("striate.data.check.check", "check"),
    "train": ("striate.api", "train"),
    "study": ("striate.api", "study"),
    "ladder": ("striate.studies.plan", "ladder"),
    "Variant": ("striate.studies.plan", "Variant"),
    "variant": ("striate.studies.plan", "variant"),
    "Run": ("striate.api", "Run"),
    "Study": ("striate.api", "Study"),
    "Recipe": ("striate.run.recipe", "Recipe"),
    "recipe": ("striate.run.recipe", "named"),
    "Blueprint": ("striate.model.blueprint", "Blueprint"),
    "Row": ("striate.model.blueprint", "Row"),
    "zoo": ("striate.model.zoo", ""),
    "walk": ("striate.model.walk", "walk"),
    "examine": ("striate.model.issues", "examine"),
    "compare": ("striate.model.table", "compare"),
    "ablate": ("striate.model.ablate", "ablate"),
    "draw": ("striate.model.draw", "draw"),
    "CNNClassifier": ("striate.estimators", "CNNClassifier"),
    "CNNRegressor": ("striate.estimators", "CNNRegressor"),
    "Predictor": ("striate.predict", "Predictor"),
    "UserError": ("striate.base.errors", "UserError"),
}

__all__ = ["__version__", *_WHERE]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'striate' has no attribute {name!r}")
    module, attribute = _WHERE[name]
    found = import_module(module)
    return getattr(found, attribute) if attribute else found


def __dir__() -> list[str]:
    return sorted(__all__)
