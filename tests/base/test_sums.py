"""Checksums of what is read again."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from striate.base import sums
from striate.base.errors import DamagedError, ModelError
from striate.base.rundir import RunDir, StudyDir
from striate.engine import checkpoint

MEMBERS = ("a.json", "b.csv", "inner/c.jpg")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "inner").mkdir()
    for name in MEMBERS:
        (tmp_path / name).write_bytes(name.encode() * 5)
    sums.seal(tmp_path, [*MEMBERS, "not-there"])
    return tmp_path


def test_they_are_what_sha256sum_reads(folder: Path) -> None:
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    assert lines == [f"{hashlib.sha256(name.encode() * 5).hexdigest()}  {name}" for name in MEMBERS]
    if tool := shutil.which("sha256sum"):
        assert subprocess.run([tool, "-c", "SHA256SUMS"], cwd=folder, check=False).returncode == 0


@pytest.mark.parametrize("name", MEMBERS)
def test_any_other_byte_is_named(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    for place in (0, len(content) // 2, len(content) - 1):
        (folder / name).write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(DamagedError, match=f"{name} does not match") as caught:
            sums.checked(folder, name)
        assert "SHA256SUMS" in caught.value.fix
    (folder / name).unlink()
    with pytest.raises(DamagedError, match=f"{name} is missing"):
        sums.checked(folder, name)


def test_a_list_that_lacks_a_member_is_no_list(folder: Path) -> None:
    for text in ("", "0" * 64 + "  b.csv\n", "\xff"):
        (folder / "SHA256SUMS").write_text(text)
        with pytest.raises(DamagedError, match=r"a\.json is not listed"):
            sums.checked(folder, "a.json")
    (folder / "SHA256SUMS").unlink()  # a folder of an earlier version, or one whose owner has edited it
    assert sums.checked(folder, "a.json") == folder / "a.json"


def test_a_change_breaks_the_seal_first(folder: Path) -> None:
    with sums.unsealed(folder, lambda: MEMBERS):
        assert not sums.is_sealed(folder)
        (folder / "b.csv").write_text("new")
    assert sums.checked(folder, "b.csv").read_text() == "new"
    (folder / "a.json").write_text("damaged")
    with pytest.raises(DamagedError), sums.unsealed(folder, lambda: MEMBERS):
        pass
    assert sums.is_sealed(folder)


def test_a_document_that_is_saved_again_is_not_held_against_old_sums(tmp_path: Path) -> None:
    for found in (RunDir(tmp_path / "run"), StudyDir(tmp_path / "study")):
        found.path.mkdir()
        found.save_info({"status": "running"})
        found.seal()
        found.save_info({"status": "finished"})
        assert found.info()["status"] == "finished"


@pytest.mark.parametrize(
    ("name", "text"),
    [("split.json", "[]"), ("split.json", '{"train": 3}'), ("split.json", '{"train": [1]}'), ("split.json", "null")],
)
def test_documents_of_another_kind_are_named(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ModelError, match=name):
        RunDir(tmp_path).splits()
    with pytest.raises(ModelError, match=name):
        StudyDir(tmp_path).splits(0)


def test_what_a_document_lacks_or_has_wrong_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"schema": 1, "model": {"name": "a"}}')
    info = RunDir(tmp_path).info()
    for lookup in (lambda: info["recipe"], lambda: info["model"]["blueprint"]):
        with pytest.raises(ModelError, match=r"(recipe|blueprint)' is missing: .*run\.json"):
            lookup()
    assert info.get("recipe") is None
    for text in ('"seed": "x"', '"seed": true', '"model": []', '"model": {"name": 5}', '"notes": "a"'):
        (tmp_path / "run.json").write_text(f'{{"schema": 1, {text}}}')
        with pytest.raises(ModelError, match=r"holds .*, not .*run\.json: (seed|model|model\.name|notes)"):
            RunDir(tmp_path).info()


def test_a_checkpoint_needs_every_member(tmp_path: Path) -> None:
    import torch

    tensors = {name: {"a": torch.ones(3)} for name in ("weights", "state", "best")}
    whole = checkpoint.save(tmp_path / "c", checkpoint.State({"step": 1}, tensors))
    for damage in ("empty list", "best gone from both", "a file more"):
        folder = tmp_path / damage / whole.name
        shutil.copytree(whole, folder)
        lines = (folder / "SHA256SUMS").read_text().splitlines(keepends=True)
        if damage == "empty list":
            (folder / "SHA256SUMS").write_text("")
        elif damage == "best gone from both":
            (folder / "best.safetensors").unlink()
            (folder / "SHA256SUMS").write_text("".join(line for line in lines if "best" not in line))
        else:
            shutil.copy(folder / "best.safetensors", folder / "more.safetensors")
        with pytest.raises(ModelError, match=r"safetensors is (not listed|missing)|state\.json is not listed"):
            checkpoint.load(folder.parent)
    assert set(checkpoint.load(tmp_path / "c").tensors) == set(tensors)
