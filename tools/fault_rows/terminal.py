"""G4 to G6: what reaches terminals, pipes and programs. Fresh interpreters: their streams are made at the start."""

import fcntl
import json
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

from .bench import Bench, expect
from .pictures import SMALL, encoded, pixels, put, write_tree
from .sheet import Row

LOUD = tuple(word for word in SMALL if word != "-q")
Commands = dict[str, tuple[tuple[object, ...], Callable[[], object] | None]]
EVIL = ("[/x].png", "[red]r[bold].png", "\x1b[31mred\x1b[0m.png", "bell\x07.png", "back\rward.png", "tab\there.png")


def _on_terminal(bench: Bench, *words: object, columns: int = 80) -> tuple[int, bytes]:
    """Run a command with a terminal of this width as stdout and stderr; return its exit code and all it wrote."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {name: value for name, value in os.environ.items() if name != "CI"} | {"TERM": "xterm-256color"}
    code = "from striate.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        cwd=bench.folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    wrote = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # how Linux says that the other side is closed
            break
        if not part:
            break
        wrote += part
    os.close(ours)
    return process.wait(), wrote


def markup(bench: Bench) -> None:
    data = write_tree(bench.folder / "data")
    for name in EVIL:
        put(data / "cat" / name, encoded(pixels(name)))
    put(data / "dog" / "\x1b[31mbad[/x].png", b"")
    evil = (b"\x1b[31m", b"\x07", b"back\r")
    code, wrote = _on_terminal(bench, "check", "data", "--out", "sheet")
    expect(code == 0, f"check ends with {code}: {wrote[-200:]!r}")
    expect(b"\\x1b[31mbad[/x].png" in wrote, "the escape is not shown as text")
    expect(not any(sign in wrote for sign in evil), "an escape from a file name reaches the terminal")
    outcome = bench.refuses(3, "train", "data", *LOUD, "--out", "run", names=["\\x1b[31mbad[/x].png"])
    expect("\x1b" not in outcome.err, "an escape from a file name reaches stderr")
    code, wrote = _on_terminal(bench, "train", "data", *LOUD, "--out", "run", "--on-bad", "skip")
    expect(code == 0, f"train ends with {code}: {wrote[-200:]!r}")
    expect(not any(sign in wrote for sign in evil), "an escape from a file name reaches the terminal")
    code, wrote = _on_terminal(bench, "predict", "run", *(data / "cat" / name for name in EVIL))
    expect(code == 0, f"predict ends with {code}: {wrote[-200:]!r}")
    expect(b"[red]r[bold].png" in wrote and b"\\x1b[31mred" in wrote, "a name is not shown literally")
    expect(not any(sign in wrote for sign in evil), "an escape from a file name reaches the terminal")


def terminals(bench: Bench) -> str:
    data = write_tree(bench.folder / "data", ("b\u00e4r", "\u732b"))
    plain = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    done = bench.fresh("check", "data", "--out", "sheet", env=plain)
    expect(done.returncode == 0, f"check in the C locale ends with {done.returncode}: {done.stderr[-200:]!r}")
    expect(done.stdout.isascii() and b"\\udc" in done.stdout, "names are not shown as escapes")
    done = bench.fresh("train", "data", *LOUD, "--out", "run", env=plain | {"COLUMNS": "20"})
    expect(done.returncode == 0, f"train in the C locale ends with {done.returncode}: {done.stderr[-200:]!r}")
    expect(b"epoch 1/1" in done.stderr, "no line of progress")
    expect(
        not any(sign in done.stderr + done.stdout for sign in (b"\r", b"\x1b")), "control characters without a terminal"
    )
    code, wrote = _on_terminal(bench, "check", data, "--out", "sheet2", columns=20)
    expect(code == 0, f"check on 20 columns ends with {code}: {wrote[-200:]!r}")
    for columns in (20, 80):
        words = ("train", "toy:shapes?n=120&size=16", *LOUD, "--out", f"run{columns}")
        code, wrote = _on_terminal(bench, *words, columns=columns)
        expect(code == 0, f"train on {columns} columns ends with {code}: {wrote[-200:]!r}")
    return f"{_closed_streams(bench)} closed streams"


def _closed_streams(bench: Bench) -> int:
    """Nobody reads, or the streams are closed from the start: quiet, and no traceback."""
    tries = (("models",), ("recipes", "baseline"), ("-h",), ("predict", "run", "data"), ("models", "--json"))
    for words in tries:
        reader, writer = os.pipe()
        os.close(reader)
        done = bench.fresh(*words, stdout=writer)
        os.close(writer)
        expect(done.stderr == b"", f"{words[0]} into a closed pipe says {done.stderr[-200:]!r}")
        expect(done.returncode in (0, 141), f"{words[0]} into a closed pipe ends with {done.returncode}")
    for number in (1, 2):
        script = f"import os, sys; os.close({number}); os.execv(sys.executable, [sys.executable, '-c', sys.argv[1]])"
        program = "import sys; sys.argv = ['striate', {}]; from striate.cli import main; main()"
        for words, code in (("'models'", 0), ("'models', 'no such'", 2)):
            done = bench.fresh(program.format(words), code=script)
            expect(done.returncode == code, f"{words} without stream {number} ends with {done.returncode}")
            expect(b"Traceback" not in done.stderr, f"a traceback without stream {number}")
    return len(tries) + 4


def _json_commands(bench: Bench, data: Path) -> Commands:
    """A command line for each command, and what must be done before it."""
    picture = data / "cat" / "00.png"
    tiny = ("--seeds", 1, "--set", "train.epochs=1")
    return {
        "check": (("check", data, "--out", "sheet"), None),
        "train": (("train", data, *LOUD, "--out", "run"), None),
        "resume": (("resume", "run"), None),
        "report": (("report", "run"), None),
        "evaluate": (("evaluate", "run"), None),
        "predict": (("predict", "run", picture), None),
        "runs": (("runs", "."), None),
        "compare": (
            ("compare", "run", "other"),
            lambda: shutil.copytree(bench.folder / "run", bench.folder / "other", dirs_exist_ok=True),
        ),
        "embed": (("embed", "run"), None),
        "activations": (("activations", "run"), None),
        "explore": (("explore", "run", "--export", "page.html"), None),
        "time": (("time", "run", "--batch", "1", "--engine", "eager"), None),
        "export": (("export", "run", "--to", "torch", "--out", "export"), None),
        "study": (("study", data, *tiny, "--size", 8, "--out", "study"), None),
        "models": (("models",), None),
        "analyze": (("analyze", "resnet18"), None),
        "recipes": (("recipes", "regularized"), None),
        "doctor": (("doctor",), None),
        "clean": (("clean", "runs"), None),
        "rate": (
            ("rate", "toy:shapes?n=160&size=16", "--steps", 60, "--set", "model.width=4", "--out", "rate.png"),
            None,
        ),
        "search": (
            ("search", data, "--budget", "9s", "--epochs", 1, "--size", 16, *tiny, "--out", "search"),
            None,
        ),
        "explain": (("explain", "filters", picture, "--out", "filters.png"), None),
        "import-weights": (
            ("import-weights", "lenet5.safetensors", "--model", "lenet5", "--channels", 1, "--out", "b.safetensors"),
            None,
        ),
        "demo": (("demo", "--seeds", 1, "--out", "demo"), _small_demo),
    }


def pure_json(bench: Bench) -> str:
    commands = _json_commands(bench, write_tree(bench.folder / "data"))
    _some_weights(bench.folder / "lenet5.safetensors")
    wanted = _all_commands() - {"serve"}  # which answers until it is stopped
    expect(set(commands) == wanted, f"not tried: {wanted ^ set(commands)}")
    for name, (words, before) in commands.items():
        free = [word for word in ("run", "study") if (bench.folder / word).exists()]
        outcome = bench.works(*words, "--json", before=before, may_change=free)
        try:
            document = json.loads(outcome.out, parse_constant=_refuse)
        except ValueError as problem:
            expect(False, f"stdout of {name} is not one JSON document ({problem}): {outcome.out[:80]!r}")
        expect(
            document["schema"] == 1 and document["command"] == name, f"{name} calls itself {document.get('command')}"
        )
    done = bench.fresh("models", "--json")
    expect(json.loads(done.stdout)["command"] == "models" and done.stderr == b"", "a fresh process writes more")
    return f"{len(commands)} of {len(commands)} commands"


def _some_weights(path: Path) -> None:
    from striate.base.tensors import write_tensors
    from striate.model import zoo

    write_tensors(path, zoo.build("lenet5", channels=1, classes=10).state_dict())


def _small_demo() -> None:
    from striate.cli import demo

    demo.DEMOS["classify"] = demo.Demo("toy:shapes?n=100&size=16", {}, ("train.epochs=1",))


def _all_commands() -> set[str]:
    from typer.main import get_command

    from striate.cli.app import app

    return set(get_command(app).commands)  # type: ignore[attr-defined]


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


ROWS = (
    Row("G4", "markup and escape sequences in file names", markup),
    Row("G5", "C locale, no terminal, 20 columns, closed pipes", terminals),
    Row("G6", "--json is one document on every command", pure_json),
)
