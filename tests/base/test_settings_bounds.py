"""A settings file is looked at before it is read, and no value makes its reader work for minutes."""

import os
import time
from pathlib import Path

import pytest

from striate.base.errors import ResourceError, SettingsError
from striate.base.memory import available_bytes, require_memory
from striate.base.settings import read_toml, value_of
from striate.cli.options import counts, recipe_of
from striate.model.blueprint import Blueprint, Row
from striate.model.build import build
from striate.run.recipe import named


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "large"])
def test_what_is_no_settings_file_is_not_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.toml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_text("# x\n" * 300_000)
    for read in (read_toml, Blueprint.from_toml):
        with pytest.raises(SettingsError, match=r"a\.toml"):
            read(path)


@pytest.mark.parametrize(
    "text", ["a" + ".a" * 20_000 + " = 1", "x = {a" + " . a" * 20_000 + " = 1}", "x = " + "1" * 10**5]
)
def test_keys_and_numbers_without_end_are_refused_at_once(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text(f"first = 1\n{text}\n")
    start_s = time.process_time()
    with pytest.raises(SettingsError, match="not TOML"):
        read_toml(path)
    assert time.process_time() - start_s < 2
    assert value_of(text.partition("= ")[2]) is not None


def test_numbers_and_sentences_are_no_deep_keys(tmp_path: Path) -> None:
    numbers = ", ".join(["0.1"] * 500)
    path = tmp_path / "a.toml"
    path.write_text(f'a.b."c.d".e = [{numbers}]\nt = "{"One. Two words. " * 50}..."\n')
    found = read_toml(path)
    assert len(found["a"]["b"]["c.d"]["e"]) == 500
    assert found["t"].startswith("One. ")


@pytest.mark.parametrize(
    "changes",
    [["train={}"], ["train={lr=0.1}"], ["model=5"], [".".join("a" * 500) + "=1"], ["train.epochs=" + "1" * 5000]],
)
def test_a_group_is_not_emptied_in_silence(changes: list[str]) -> None:
    with pytest.raises(SettingsError):
        named("regularized").changed(changes)


def test_what_is_said_twice_or_not_at_all_is_a_usage_error() -> None:
    for text in ("train=1,train=2", "train=", "train=\u00b2", "train=" + "9" * 30, ""):
        with pytest.raises(SettingsError, match="--limit"):
            counts(text)
    assert counts("train=20, val=3") == {"train": 20, "val": 3}
    with pytest.raises(SettingsError, match="twice"):
        recipe_of("baseline", ["train.lr=1", "train.lr = 2"])
    with pytest.raises(SettingsError, match="--size"):
        recipe_of("baseline", None, size=-1)


def test_networks_beyond_any_memory_are_refused_before_they_are_made() -> None:
    for row in ({"width": 10**9}, {"repeat": 10**9}, {"stride": 10**9}):
        with pytest.raises(SettingsError, match="cannot be"):
            Row("conv", **row)
    with pytest.raises(SettingsError, match="20,001 blocks"):
        Blueprint("long", tuple(Row("relu") for _ in range(20_001)))
    rows = (Row("conv", 1 << 20), Row("conv", 1 << 20), Row("global_pool"), Row("linear"))
    with pytest.raises(ResourceError, match=r"need .* GB of memory"):  # 9 x 2^40 weights of 4 bytes
        build(Blueprint("large", rows), channels=3, outputs=2, size_hw=(8, 8))
    free = available_bytes()
    if free is not None:
        require_memory(free // 2, "half")
        with pytest.raises(ResourceError, match="twice need"):
            require_memory(free * 2, "twice")
