"""Shared fixtures: an own cache, one thread, real data where there is some."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest_plugins = ["planted_studies", "tiny_data"]

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # where a test asks for two, they do not keep cores from others
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # each process that a test starts would compile the package anew


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Keep the garbage collector from what stays: its passes were a third of collecting, and 0.5 s each after it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["STRIATE_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session", autouse=True)
def _without_trials() -> Iterator[None]:
    """Runs take float32: the trial that chooses is eight steps, more than most tests train; its own tests make it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("striate.engine.precision.has_bf16", lambda device: False)
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real datasets; the test is skipped where there is none."""
    path = Path(os.environ.get("STRIATE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not path.is_dir():
        pytest.skip("no real data here (set STRIATE_TEST_DATA)")
    return path
