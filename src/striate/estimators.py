"""Networks as scikit-learn estimators: they work in pipelines, grid searches and cross-validation.

Images are arrays (N, H, W), (N, H, W, C) or (N, C, H, W), paths of files, or one of our datasets; a table (N, F) holds
images where `image_shape` says so, else numbers, which are laid out in a small square, each column by its own range.
"""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from striate.base.errors import SettingsError
from striate.base.progress import Progress
from striate.data.channels import sampled_channels
from striate.data.sample import Dataset
from striate.data.sources.arrays import channels_last
from striate.data.sources.images import ArrayImages, FileImages
from striate.data.split import assign
from striate.data.target import Label, Number, Target
from striate.predict import Predictor
from striate.predict.prediction import Prediction
from striate.run.execute import train
from striate.run.recipe import SHORT, Recipe, named

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import (
        Tags,
        assert_all_finite,
        check_array,
        check_consistent_length,
        check_random_state,
        column_or_1d,
    )
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as problem:
    what, fix = "scikit-learn is not installed", 'pip install "striate[sklearn]"'
    raise SettingsError(what, where="st.CNNClassifier", fix=fix) from problem

Array = npt.NDArray[Any]
HOLD_OUT_FROM = 200  # images; of fewer all train, see `data.hold_out_from`
MIN_SIDE_PX = 8
MARGIN = 0.5  # of a column's range, beside it, that new values may reach


class _Estimator(BaseEstimator):  # type: ignore[misc]
    """What both have in common: settings, images, training."""

    def __init__(
        self,
        model: Any = None,
        recipe: str | Recipe = "regularized",
        *,
        epochs: int | None = None,
        lr: float | None = None,
        batch_size: int | None = None,
        augment: Any = None,
        optimiser: str | None = None,
        patience: int | None = None,
        size: int | str | None = None,
        image_shape: tuple[int, ...] | None = None,
        settings: Mapping[str, Any] | None = None,
        val_frac: float = 0.15,
        random_state: Any = None,
        device: str = "auto",
        folder: str | Path | None = None,
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.recipe = recipe
        self.epochs = epochs
        self.lr = lr
        self.batch_size = batch_size
        self.augment = augment
        self.optimiser = optimiser
        self.patience = patience
        self.size = size
        self.image_shape = image_shape
        self.settings = settings
        self.val_frac = val_frac
        self.random_state = random_state
        self.device = device
        self.folder = folder
        self.verbose = verbose

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True  # names of files
        return tags

    def _fit(self, dataset: Dataset, seed: int) -> Self:
        options: dict[str, Any] = {"progress": None if self.verbose else Progress("quiet"), "device": self.device}
        recipe, model = self._recipe(dataset), self.model
        with TemporaryDirectory(prefix="striate-") as temporary:
            out = Path(self.folder) if self.folder is not None else Path(temporary) / "run"
            run = train(dataset, model, recipe, seed=seed, out=out, overwrite=True, **options)
            own = model if hasattr(model, "state_dict") else None
            self.predictor_ = Predictor.load(run, own)
            self.model_ = self.predictor_.network
            self.history_ = run.history()
        self.n_iter_ = len(self.history_)
        return self

    def _recipe(self, dataset: Dataset) -> Recipe:
        start = named(self.recipe) if isinstance(self.recipe, str) else self.recipe
        pairs: dict[str, Any] = {"data.depth": 16} if _is_deep(dataset) else {}
        if getattr(self, "columns_", None) is not None:
            pairs |= {"augment": "none"}  # a table of numbers has no mirror image
        pairs |= {"data.hold_out_from": HOLD_OUT_FROM, "data.size": self.size}
        pairs |= {path: getattr(self, name) for name, path in SHORT.items()}
        pairs = {path: value for path, value in pairs.items() if value is not None}
        return start.with_values([*pairs.items(), *(self.settings or {}).items()])

    def _predictions(self, X: Any) -> list[Prediction]:
        check_is_fitted(self)
        if isinstance(X, Dataset):
            depth = self.predictor_.geometry.depth
            return self.predictor_(_samples(X, index, depth) for index in range(len(X)))
        if are_paths(X):
            return self.predictor_([str(path) for path in X])
        return self.predictor_(list(self._pixels(X, is_first=False)))

    def _images(self, X: Any) -> tuple[ArrayImages | FileImages, int]:
        """The images of X and their channels."""
        if not are_paths(X):
            pixels = self._pixels(X, is_first=True)
            deep = None if pixels.dtype == np.uint8 else pixels
            return ArrayImages(pixels if deep is None else (deep // 257).astype(np.uint8), deep=deep), pixels.shape[3]
        self.columns_ = None
        paths = [os.path.abspath(path) for path in X]  # noqa: PTH100 - of many paths
        root = os.path.commonpath([os.path.dirname(path) for path in paths])  # noqa: PTH120
        names = tuple(os.path.relpath(path, root) for path in paths)
        channels, _ = sampled_channels(Path(root), names)
        return FileImages(Path(root), names, channels), channels

    def _pixels(self, X: Any, *, is_first: bool) -> Array:
        """Images (N, H, W, C) uint8 or uint16 of an array; at first the levels that become black and white are set."""
        ndim = X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim
        if ndim <= 2:
            values = validate_data(self, X, reset=is_first, dtype="numeric", ensure_min_samples=2 if is_first else 1)
        else:
            values = check_array(X, allow_nd=True, dtype=None, ensure_min_samples=2 if is_first else 1)
        is_table = values.ndim == 2 and self.image_shape is None
        if is_first:
            self.columns_ = values.shape[1] if is_table else None
            self.levels_ = _levels(values, is_table)
        if not is_table:
            shape = values.shape if self.image_shape is None else (len(values), *self.image_shape)
            values = values.reshape(shape)
            values = channels_last(values[..., None] if values.ndim == 3 else values)
        if self.levels_ is None:
            return np.ascontiguousarray(values, dtype=np.uint8)
        low, high = self.levels_
        with np.errstate(over="ignore"):
            shares = ((values.astype(np.float64) - low) / (high - low)).clip(0, 1)
        levels = np.rint(shares * 65535).astype(np.uint16)
        return _squares(levels) if is_table else levels

    def _dataset(self, X: Any, target: Target, key: str, seed: int) -> Dataset:
        images, channels = self._images(X)
        ids = tuple(map(str, range(len(images))))
        part = assign(ids, target.strata(), (1 - self.val_frac, self.val_frac), seed)
        if not part.any():
            part[-1] = 1  # it trains all the same, see HOLD_OUT_FROM
        splits = {name: np.flatnonzero(part == index) for index, name in enumerate(("train", "val"))}
        return Dataset("X", "", images, ids, {key: target}, splits, channels, made_splits=("val",))


class CNNClassifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """A classifier of images.

    Args:
        model: a network's name, a blueprint or a module; by default the recipe's, else bipyramid.
        recipe: a recipe or its name.
        epochs, lr, batch_size, augment, optimiser, patience, size: change the recipe.
        image_shape: (H, W) or (H, W, C) of the images that the rows of a table hold.
        settings: further settings of the recipe, such as {"train.weight_decay": 0.1}.
        val_frac: share of the images by which the best epoch is chosen; of fewer than 200 images they train as well.
        random_state: a seed, or a generator that gives one.
        folder: keeps the run, with its report's numbers; by default it is removed.

    Attributes:
        classes_: the classes, sorted; `model_` the network; `predictor_` images -> predictions; `history_` a document
            an epoch; `n_features_in_` of tables only.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> X, y = load_digits(return_X_y=True)
        >>> net = CNNClassifier("lenet5", image_shape=(8, 8), epochs=20)            # doctest: +SKIP
        >>> cross_val_score(net, X, y, cv=3)                                        # doctest: +SKIP
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on images and their classes; of a dataset `y` is left out, and its own splits count."""
        seed = _seed(self.random_state)
        if isinstance(X, Dataset):
            self.columns_, self.levels_ = None, None
            self.classes_ = np.array(X.classes)
            return self._fit(X, seed)
        _require_y(self, y)
        y = column_or_1d(y, warn=True)
        if y.dtype.kind == "f":
            assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        check_consistent_length(X, y)
        self.classes_, values = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("y has one class only; a classifier needs at least 2 classes")
        return self._fit(self._dataset(X, Label(values.astype(np.int64), _names(self.classes_)), "label", seed), seed)

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class (N, K), in the order of `classes_`."""
        rows = [[*(one.probabilities or {}).values()] for one in self._predictions(X)]
        return np.array(rows, dtype=np.float64).reshape(-1, len(self.classes_))

    def predict(self, X: Any) -> Array:
        """Return the most probable class of each image (N,)."""
        best = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[best])


class CNNRegressor(RegressorMixin, _Estimator):  # type: ignore[misc]
    """Predicts one or several numbers of an image; arguments and attributes are those of `CNNClassifier`."""

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on images and their numbers (N,) or (N, D); of a dataset `y` is left out."""
        seed = _seed(self.random_state)
        if isinstance(X, Dataset):
            self.columns_, self.levels_, self.num_outputs_ = None, None, 0
            return self._fit(X, seed)
        _require_y(self, y)
        y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        check_consistent_length(X, y)
        self.num_outputs_ = 0 if y.ndim == 1 else y.shape[1]
        names = tuple(f"y{index}" for index in range(max(1, self.num_outputs_)))
        return self._fit(self._dataset(X, Number(y.reshape(len(y), -1), names), "value", seed), seed)

    def predict(self, X: Any) -> Array:
        """Return the numbers of each image, (N,) or (N, D) as `y` was."""
        values = np.array([one.values for one in self._predictions(X)], dtype=np.float64)
        return values if self.num_outputs_ or values.shape[1] > 1 else values[:, 0]


def are_paths(X: Any) -> bool:
    """Return whether X are names of files."""
    if isinstance(X, str | Path) or not hasattr(X, "__len__") or not hasattr(X, "__iter__") or hasattr(X, "tocsr"):
        return False
    first = next(iter(X), None)
    return isinstance(first, str | Path) and np.ndim(X) == 1


def _samples(dataset: Dataset, index: int, depth: int) -> Array:
    read = getattr(dataset.images, "read_samples", None)
    return np.asarray(read(index, None, depth) if read else dataset.images.read(index))


def _is_deep(dataset: Dataset) -> bool:
    return isinstance(dataset.images, ArrayImages) and dataset.images.deep is not None


def _levels(values: Array, is_table: bool) -> tuple[Array, Array] | None:
    """The values that become black and white: of a table those of each column with room, of images one range.

    None: 8-bit images are what they are.
    """
    if values.dtype == np.uint8 and not is_table:
        return None
    axis = 0 if is_table else None
    low, high = (np.asarray(one, dtype=np.float64) for one in (values.min(axis=axis), values.max(axis=axis)))
    if not is_table and low >= 0 and high <= 1:
        low, high = np.zeros(()), np.ones(())
    room = MARGIN * (high - low) if is_table else 0
    low, high = low - room, high + room
    return low, np.where(high > low, high, low + 1)


def _squares(levels: Array) -> Array:
    """Rows (N, F) as small square images (N, S, S, 1), each number a block of pixels, the rest black."""
    side = math.ceil(math.sqrt(levels.shape[1]))
    whole = np.zeros((len(levels), side * side), levels.dtype)
    whole[:, : levels.shape[1]] = levels
    times = math.ceil(MIN_SIDE_PX / side)
    return whole.reshape(-1, side, side, 1).repeat(times, axis=1).repeat(times, axis=2)


def _names(classes: Array) -> tuple[str, ...]:
    return tuple(str(one) for one in classes)


def _seed(random_state: Any) -> int:
    return int(check_random_state(random_state).randint(2**31 - 1))


def _require_y(estimator: Any, y: Any) -> None:
    if y is None:
        raise ValueError(f"This {type(estimator).__name__} estimator requires y to be passed, but the target y is None")
