"""Networks are estimators by scikit-learn's own checks, and work where its own do."""

import pickle
from functools import partial

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

import striate as st
from striate.base.errors import SettingsError

QUICK = {"recipe": "baseline", "lr": 0.01, "settings": {"train.precision": "float32"}, "random_state": 0}
EXCEPTIONS = {  # checks of scikit-learn that are not met, each with its reason
    "check_methods_subset_invariance": "float32: sums over a batch of one and of many differ in the seventh digit",
}
FEW = {  # of the checks, those that are run each time: the others train some hundred networks
    "check_estimator_cloneable",
    "check_no_attributes_set_in_init",
    "check_estimators_unfitted",
    "check_estimator_sparse_array",
    "check_classifiers_one_label",
    "check_supervised_y_no_nan",
    "check_estimators_pickle",
    "check_fit1d",
    "check_fit2d_1sample",
    "check_dict_unchanged",
}
CHECKED = [st.CNNClassifier("mlp", epochs=10, **QUICK), st.CNNRegressor("mlp", epochs=30, **QUICK)]


def checks(names: set[str]):
    for estimator in (clone(one).set_params(epochs=1) for one in CHECKED):
        for one, check in estimator_checks_generator(estimator, mark=None):
            name = (check.func if isinstance(check, partial) else check).__name__
            if name in names:
                yield pytest.param(one, check, id=f"{type(estimator).__name__}-{name}")


@pytest.mark.parametrize(("estimator", "check"), [*checks(FEW)])
def test_some_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(CHECKED, expected_failed_checks=lambda estimator: EXCEPTIONS)
def test_all_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(n_class=4, return_X_y=True)
    return X[:160], y[:160]


def test_a_grid_search_over_a_pipeline_finds_the_better_rate(digits):
    net = st.CNNClassifier("mlp", image_shape=(8, 8), **{**QUICK, "epochs": 5})
    search = GridSearchCV(Pipeline([("scale", StandardScaler()), ("net", net)]), {"net__lr": [1e-6, 0.01]}, cv=2)
    search.fit(*digits)
    assert search.best_params_ == {"net__lr": 0.01} and search.best_score_ > 0.85
    assert (search.predict(digits[0]) == digits[1]).mean() > 0.9


def test_images_may_lie_in_any_of_the_stated_shapes(digits):
    X, names = digits[0], np.array(["zero", "one", "two", "three"])[digits[1]]
    u8 = np.rint(X.reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
    net = st.CNNClassifier("mlp", epochs=3, **QUICK).fit(u8, names)
    assert net.classes_.tolist() == ["one", "three", "two", "zero"] and not hasattr(net, "n_features_in_")
    shares = net.predict_proba(u8)
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-6)
    assert (net.predict(u8) == net.classes_[shares.argmax(1)]).all() and net.score(u8, names) > 0.8
    for other in (u8[:, None], u8 / 255):
        same = clone(net).fit(other, names)
        np.testing.assert_allclose(same.predict_proba(other), shares, atol=0.02)  # floats keep 16 bits
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(net)).predict_proba(u8), shares)  # noqa: S301
    assert net.history_[-1]["epoch"] == net.n_iter_ == 3 and net.model_ is net.predictor_.network


def test_paths_are_cross_validated(tmp_path):
    paths, names = [], []
    for number in range(30):
        colour = (200, 10 * (number % 5), 0) if number % 2 else (0, 10 * (number % 5), 200)
        Image.new("RGB", (12, 10), colour).save(tmp_path / f"{number}.png")
        paths.append(str(tmp_path / f"{number}.png"))
        names.append("red" if number % 2 else "blue")
    net = st.CNNClassifier("mlp", epochs=3, size=8, augment="none", **QUICK)
    assert cross_val_score(net, paths, names, cv=2).tolist() == [1, 1]
    net.set_params(folder=tmp_path / "run").fit(paths, names)
    assert st.Run(tmp_path / "run").predict(paths[1])[0].names == ("red",)


def test_numbers_are_predicted_one_or_several_as_a_linear_model_does():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(240, 4))
    y = X @ rng.normal(size=(4, 2)) + 5
    net = st.CNNRegressor("mlp", epochs=40, **QUICK).fit(X[:200], y[:200])
    linear = Ridge(1e-6).fit(X[:200], y[:200])
    assert net.score(X[200:], y[200:]) > 0.9 * linear.score(X[200:], y[200:])
    one = st.CNNRegressor("mlp", epochs=1, **QUICK).fit(X, y[:, 0])
    assert one.predict(X[:3]).shape == (3,) and net.predict(X[:3]).shape == (3, 2)


def test_a_dataset_keeps_its_splits_and_answers_alike(digits):
    u8 = np.rint(digits[0].reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
    data = st.from_arrays(u8, digits[1])
    net = st.CNNClassifier("mlp", epochs=2, **QUICK).fit(data)
    assert net.classes_.tolist() == ["0", "1", "2", "3"]
    np.testing.assert_allclose(net.predict_proba(data), net.predict_proba(u8), atol=1e-6)


def test_mistakes_are_named():
    X, y = np.arange(32.0).reshape(8, 4), np.arange(8) % 2
    with pytest.raises(NotFittedError):
        st.CNNClassifier().predict(X)
    with pytest.raises(SettingsError, match="mlpp"):
        st.CNNClassifier("mlpp").fit(X, y)
    with pytest.raises(SettingsError, match="weight_decoy"):
        st.CNNClassifier("mlp", settings={"train.weight_decoy": 1}).fit(X, y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        st.CNNClassifier("mlp").fit(X, y[:5])
