"""What --overwrite moves aside, what a lock opens, and what a command that was killed leaves in the way."""

import os
from pathlib import Path

import pytest

from striate.base import files
from striate.base.documents import read_json_lines
from striate.base.errors import ModelError, ResourceError, SettingsError
from striate.base.folder import kind_of, named_folder
from striate.base.lock import locked


@pytest.mark.parametrize("kind", ["run", "study", "search"])
def test_overwrite_moves_results_aside(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / f"{kind}.json").write_text('{"status": "finished"}')
    named_folder(folder, overwrite=True)
    assert (tmp_path / "out.old1" / f"{kind}.json").exists()
    assert not any(folder.iterdir())


@pytest.mark.parametrize("name", ["cat/1.png", "diary.txt", "split.json", "verdict.json"])
def test_overwrite_leaves_everything_else_where_it_is(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "data"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text("mine")
    for overwrite in (True, False, None):
        with pytest.raises(SettingsError, match="no run, study or search") as caught:
            named_folder(folder, overwrite=overwrite)
        assert caught.value.fix == "choose another --out"
    assert (folder / name).read_text() == "mine"


def test_the_folder_one_stands_in_is_not_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run" / "inner").mkdir(parents=True)
    (tmp_path / "run" / "run.json").write_text('{"status": "finished"}')
    for place, out in (("run", "."), ("run/inner", ".."), ("run", "../run")):
        monkeypatch.chdir(tmp_path / place)
        with pytest.raises(SettingsError, match="current folder"):
            named_folder(Path(out), overwrite=True)
    monkeypatch.chdir(tmp_path)
    named_folder(Path("run/"), overwrite=True)
    assert (tmp_path / "run.old1" / "inner").is_dir()
    assert named_folder(Path()) if not any(Path().iterdir()) else True


def test_only_what_helps_is_named_as_the_fix(tmp_path: Path) -> None:
    for status, has_option, fix in (
        ("finished", False, "use --overwrite or another --out"),
        ("running", False, f"go on with `striate resume {tmp_path}`, or use --overwrite or another --out"),
        ("running", None, "choose another --out"),
    ):
        (tmp_path / "run.json").write_text(f'{{"status": "{status}"}}')
        with pytest.raises(SettingsError) as caught:
            named_folder(tmp_path, overwrite=has_option)
        assert caught.value.fix == fix


def test_names_no_file_system_takes_are_an_error_line(tmp_path: Path) -> None:
    for name in ("a" * 300, "a\0b", "/".join(["a" * 200] * 30)):
        with pytest.raises(ResourceError, match="cannot write to the output folder"):
            named_folder(tmp_path / name)


@pytest.mark.parametrize("kind", ["link", "hard link", "text", "pipe"])
def test_a_lock_that_is_none_of_ours_is_left_alone(tmp_path: Path, kind: str) -> None:
    target, lock = tmp_path / "thesis.tex", tmp_path / "run" / ".lock"
    target.write_text("pid 1 on a, three years of work" if kind != "hard link" else "")
    lock.parent.mkdir()
    if kind == "link":
        lock.symlink_to(target)
    elif kind == "hard link":
        lock.hardlink_to(target)
    elif kind == "text":
        lock.write_text("my notes\n")
    else:
        os.mkfifo(lock)
    before = target.read_text()
    with pytest.raises(ResourceError, match="lock"), locked(lock.parent):
        pass
    assert target.read_text() == before
    assert kind != "text" or lock.read_text() == "my notes\n"
    lock.unlink()
    with locked(lock.parent):
        assert lock.read_text().startswith(f"pid {os.getpid()} on ")
    with locked(lock.parent):
        assert lock.read_text().count("pid") == 1


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("kept")
    (tmp_path / "rows.jsonl").symlink_to(target)
    with pytest.raises(ResourceError, match="cannot write"):
        files.append_line(tmp_path / "rows.jsonl", "{}")
    out = tmp_path / "out"
    out.mkdir()
    for name in (out / ".writable", files.temporary(out / "writable"), files.temporary(tmp_path / "a.json")):
        name.symlink_to(target)
    named_folder(tmp_path / "new")
    files.write_json(tmp_path / "a.json", 1)
    files.temporary(out / "writable").exists()
    assert target.read_text() == "kept"


def test_a_line_cut_short_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    for end, kept in (('{"a": 1', []), ('{"a": 1}', [{"a": 1}]), ('{"a": 1}\n', [{"a": 1}]), ("", [])):
        path.write_text('{"a": 0}\n' + end)
        assert read_json_lines(path) == [{"a": 0}, *kept]
        files.append_line(path, '{"a": 2}')
        assert read_json_lines(path) == [{"a": 0}, *kept, {"a": 2}]
        assert path.read_text().count("\n") == 2 + len(kept)
    path.write_text('{"a": 0}\n{"a"\n{"a": 2}\n')
    with pytest.raises(ModelError, match=r"rows\.jsonl:2"):
        read_json_lines(path)


def test_what_killed_processes_left_is_swept_away(tmp_path: Path) -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    (tmp_path / "pictures").mkdir()
    left = [tmp_path / f".a.json.{child}.tmp", tmp_path / "pictures" / f".b.jpg.{child}.tmp"]
    others = [tmp_path / f".a.json.{os.getppid()}.tmp", tmp_path / ".hidden", tmp_path / "c.tmp"]
    for path in left + others:
        path.write_text("half")
    with locked(tmp_path):
        assert not any(path.exists() for path in left)
        assert all(path.exists() for path in others)


def test_a_folder_nothing_was_begun_in_says_so(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("")
    (tmp_path / "split.json").write_text("{}")
    with pytest.raises(ModelError, match="stopped before it began"):
        kind_of(tmp_path)
    assert named_folder(tmp_path) == tmp_path
