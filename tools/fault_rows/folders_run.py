"""F11, F12, F14: a run folder in use, moved, or of another version."""

import json
import shutil
import signal
import socket
from pathlib import Path

from .bench import Bench, expect
from .pictures import encoded, pixels, put
from .runs import LONG, begin, expect_equal, status, stop_at
from .sheet import Row

KEPT = Path(__file__).parents[2] / "tests" / "run" / "kept"


def two_processes(bench: Bench) -> None:
    running = bench.start(*begin(bench), *LONG)
    run = bench.folder / "run"
    running.until((run / "checkpoints" / "latest").exists, "the first checkpoint")
    holder = [f"pid {running.pid}", socket.gethostname()]
    for words in (("resume", "run"), (*begin(bench), "--overwrite")):
        second = bench.start(*words).wait()
        bench.is_clear(second, 5, holder)
    running.send(signal.SIGKILL)
    running.wait()
    expect((run / ".lock").exists(), "no lock file is left to be stale")
    resumed = bench.start("resume", "run", "-q")
    size = (run / "history.jsonl").stat().st_size
    resumed.until(lambda: (run / "history.jsonl").stat().st_size > size, "one more epoch")
    expect(f"pid {resumed.pid} " in (run / ".lock").read_text(), "the lock is not taken over")
    resumed.send(signal.SIGTERM)
    bench.is_clear(resumed.wait(), 143, ["striate resume"])


def moved(bench: Bench) -> None:
    bench.works(*begin(bench))
    bench.refuses(130, *begin(bench, "here"), before=stop_at(6))
    there = bench.folder / "some where" / "else"
    there.parent.mkdir()
    (bench.folder / "here").rename(there)
    bench.works("resume", there, "-q", may_change=["some where"])
    expect_equal(bench.folder / "run", there)
    shutil.copytree(there, bench.folder / "copy")
    bench.works("report", "copy", may_change=["copy/report.html"])
    picture = put(bench.folder / "new.png", encoded(pixels("new")))
    outcomes = [bench.works("predict", run, picture, "--json").out for run in (there, "copy")]
    expect(outcomes[0] == outcomes[1], "the copy predicts otherwise")
    names = [name for ids in json.loads((there / "split.json").read_text()).values() for name in ids]
    expect(not any("\\" in name or name.startswith("/") for name in names), "ids are not portable")
    bench.refuses(130, *begin(bench, "late"), before=stop_at(6))
    (bench.folder / "data").rename(bench.folder / "moved data")
    bench.refuses(3, "resume", "late", names=["data", "--data"])
    bench.works("resume", "late", "--data", "moved data", "-q", may_change=["late"])
    expect_equal(bench.folder / "run", bench.folder / "late")


def other_schema(bench: Bench) -> str:
    bench.refuses(130, *begin(bench, "base"), before=stop_at(6))
    newest = max((bench.folder / "base" / "checkpoints").glob("step-*"))
    picture = put(bench.folder / "new.png", encoded(pixels("new")))
    for name, schema in (("newer", 99), ("older", 0), ("none", None)):
        shutil.copytree(bench.folder / "base", bench.folder / name)
        _set_schema(bench.folder / name / "run.json", schema)
        for words in (("resume", name), ("report", name), ("predict", name, picture)):
            bench.refuses(4, *words, names=["run.json" if schema in (0, None) else "schema 99"])
    inner = bench.folder / "base" / "checkpoints" / newest.name
    _set_schema(inner / "state.json", 99)
    _resum(inner)
    bench.refuses(4, "resume", "base", names=["newer", newest.name])
    kept = sorted(path for path in KEPT.iterdir() if path.is_dir())
    for path in kept:
        shutil.copytree(path, bench.folder / path.name)
        bench.works("report", path.name, may_change=[f"{path.name}/report.html"])
        wanted = json.loads((path / "expected.json").read_text())
        found = json.loads(bench.works("predict", path.name, path / "picture.png", "--json").out)["predictions"][0]
        for name, value in wanted.items():
            expect(abs(found["probabilities"][name] - value) < 1e-5, f"{path.name} predicts otherwise")
        expect(status(bench.folder / path.name) == "finished", "half loaded")
    return f"{len(kept)} folder of an earlier version is read as it was"


def _set_schema(path: Path, schema: int | None) -> None:
    document = json.loads(path.read_text())
    document.pop("schema")
    path.write_text(json.dumps(document if schema is None else {"schema": schema, **document}))


def _resum(folder: Path) -> None:
    from striate.base.files import sha256

    names = [line.partition("  ")[2] for line in (folder / "SHA256SUMS").read_text().splitlines()]
    (folder / "SHA256SUMS").write_text("".join(f"{sha256(folder / name)}  {name}\n" for name in names))


ROWS = (
    Row("F11", "two processes in one run folder; a stale lock", two_processes),
    Row("F12", "run folder or data moved", moved),
    Row("F14", "older and newer schema", other_schema),
)
