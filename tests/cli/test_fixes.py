"""What an error tells one to do can be done: the options are that command's, the commands parse, and it helps."""

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.main import get_command

from striate.cli.app import app, run

COMMANDS = get_command(app).commands
LINE = re.compile(r"error: (?P<what>.+) -- fix: (?P<fix>.+)")
FAST = "--epochs 1 --set model.width=4 --set train.precision=float32 --threads 1 -q"
PLAN = """data = "{data}"
seeds = 1
set = ["train.epochs=1", "model.width=4", "train.precision=float32"]
[[variant]]
name = "a"
recipe = "baseline"
"""


def images(folder: Path, count: int = 10, start: int = 0) -> None:
    """Write images of noise."""
    folder.mkdir(parents=True)
    for number in range(start, start + count):
        pixels = np.random.default_rng([number, *folder.name.encode()]).integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{folder.name}{number}.png")


def data_in(place: Path) -> None:
    """Write folders and tables that each have one thing the matter."""
    for name in ("birds", "hollow", "damaged", "lone"):
        for label in "ab" if name != "lone" else "a":
            images(place / name / label)
    (place / "hollow" / "c").mkdir()
    (place / "damaged" / "a" / "a3.png").write_bytes(b"no image")
    for label in "ab":
        images(place / "copies" / "train" / label)
        images(place / "unlabelled" / "train" / label)
        shutil.copytree(place / "copies" / "train" / label, place / "copies" / "test" / label)
    images(place / "unlabelled" / "test", 4)
    images(place / "flat")
    rows = [f"birds/a/a{number}.png" for number in range(10)]
    for name, cells in {
        "blank": ["tall,red", *(f"{n % 2},{'' if n == 3 else n // 5}" for n in range(10))],
        "dirty": ["kilos", *("3 kg" if n == 3 else f"{n}.5" for n in range(10))],
        "words": ["kind", *("xy"[n % 2] for n in range(10))],
        "parts": ["kind,part", *(f"{'xy'[n % 2]},{n % 5}" for n in range(10))],
    }.items():
        lines = [f"path,{cells[0]}", *(f"{path},{cell}" for path, cell in zip(rows, cells[1:], strict=True))]
        (place / f"{name}.csv").write_text("\n".join(lines))
    (place / "plan.toml").write_text(PLAN.format(data="birds"))
    (place / "hollow.toml").write_text(PLAN.format(data="hollow"))
    (place / "broken.toml").write_text("= 3")
    (place / "photo.png").write_bytes((place / "birds" / "a" / "a0.png").read_bytes())


def runs_in(place: Path) -> None:
    """Train one run, and copy it into runs of which each has something the matter."""
    shutil.copytree(place / "birds", place / "moved")
    assert run(shlex.split(f"train moved {FAST} --out done")) == 0
    assert run(shlex.split(f"train toy:shapes?n=60&size=16 --task regress --target angle {FAST} --out angle")) == 0
    for name in ("begun", "cut", "spare", "stopped", "blocked"):
        shutil.copytree(place / "done", place / name)
    for name in ("begun", "stopped"):
        (place / name / "weights.safetensors").unlink()
        (place / name / "SHA256SUMS").unlink()
        info = json.loads((place / name / "run.json").read_text())
        (place / name / "run.json").write_text(json.dumps({**info, "status": "interrupted"}))
    (place / "cut" / "weights.safetensors").write_bytes(b"")
    assert run(["study", "plan.toml", "--threads", "1", "-q", "--out", "compared"]) == 0
    (place / "moved").rename(place / "elsewhere")
    (place / "blocked" / "evaluations").write_bytes(b"")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data and runs that commands stumble over."""
    folder = tmp_path_factory.mktemp("fixes")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        data_in(folder)
        runs_in(folder)
    return folder


WAYS = {  # what is typed, and what its fix says to type instead; "" where that is no command
    "check nowhere": "",
    "check birds --channels 2": "check birds --channels 1",
    "check birds --limit train=x": "check birds --limit train=2000,val=500,test=500",
    "check birds --levels dark": "check birds --levels full",
    "check birds --blank negative": "check birds",
    "check blank.csv": "check blank.csv --blank negative",
    "check hollow --strict -q": "check hollow",
    "check birds --epochs 3": "",
    "check words.csv --target colour": "check words.csv --target kind",
    "train hollow": f"train hollow --allow-empty {FAST}",
    "train damaged": f"train damaged --on-bad skip {FAST}",
    "train copies": "",
    "train unlabelled": "",
    "train flat": "",
    "train lone": "",
    "train dirty.csv --task regress": "",
    "train words.csv --task regress": "train words.csv --task classify --epochs 0",
    "train blank.csv": "train blank.csv --blank negative --epochs 0",
    "train birds --device tpu": "",
    "train birds --device cuda": "train birds --device cpu --epochs 0",
    f"train birds {FAST} --lr 1e12": f"train birds {FAST} --lr 0.001",
    "train birds --out spare": f"train birds --out spare --overwrite {FAST}",
    "train birds --out stopped": "resume stopped",
    "train birds --out birds": "",
    "train birds --out birds --overwrite": "",
    "train birds --recipe frozen": "",
    "train birds --recipe features": "",
    "train birds --weights nowhere": "",
    "train birds --set train.swa_lr=1": "train birds --set train.swa_lr=1 --set train.swa=0.25 --out birds",
    "train birds --lr 1 --set train.lr=1": "",
    "train birds --weight-decay 1": "train birds --set train.weight_decay=1 --epochs 0",
    "train birds --limit test=0": "",
    "study birds --weights imagenet": "study birds --weights imagenet --ladder --folds 1",
    "study plan.toml --epochs 3": "",
    "study broken.toml": "",
    "study hollow": "study hollow --allow-empty --dry-run",
    "study hollow.toml": "study hollow.toml --allow-empty --dry-run",
    "study damaged": "study damaged --on-bad skip --dry-run",
    "study birds --parallel many": "",
    "study birds --out done": "",
    "study birds --folds 3 --prune": "study birds --prune --dry-run",
    "rate hollow": f"rate hollow --allow-empty --steps 10 {FAST[11:]}",
    "rate damaged": "",
    "rate birds --low 1 --high 0.1": "",
    "rate birds --out a.jpg": "",
    "search birds --out done": "",
    "search birds --recipe frozen": "",
    "search birds --recipe features": "",
    "search birds --set transfer.weights=imagenet": "",
    "study birds --set transfer.head=only": "",
    "study birds --ladder --set transfer.weights=nowhere": "",
    "search hollow --candidates 2": "",
    "search damaged --candidates 2": "",
    "search birds --max-macs 1": "",
    "search birds --max-macs 1M --max-parameters 1k": "",
    "search birds --budget soon": "",
    "evaluate nowhere": "",
    "evaluate done": "evaluate done --data elsewhere -q",
    "evaluate stopped": "resume stopped",
    "evaluate blocked --data elsewhere": "",
    "evaluate done nowhere": "",
    "evaluate done damaged": "",
    "evaluate done flat": "",
    "evaluate done dirty.csv": "",
    "evaluate done lone --split val": "evaluate done lone --split all -q",
    "evaluate done --split tets": "evaluate done --split test --data elsewhere -q",
    "evaluate done --calibrate": "evaluate done --calibrate --data elsewhere",
    "evaluate done birds --calibrate": "evaluate done --calibrate",
    "evaluate angle --calibrate": "evaluate angle -q",
    "evaluate angle birds": "",
    "evaluate angle words.csv": "",
    "evaluate done words.csv": "",
    "evaluate done blank.csv": "",
    "evaluate angle --views 2": "evaluate angle -q",
    "evaluate done --variant a": "evaluate compared --variant a --ensemble",
    "evaluate compared --ensemble": "",
    "evaluate done --ensemble": "",
    "evaluate compared": "",
    "evaluate compared --ensemble --split train": "evaluate compared --ensemble --split val",
    "evaluate cut --data elsewhere": "",
    "predict nowhere photo.png": "",
    "predict stopped photo.png": "resume stopped",
    "predict done nowhere.png": "",
    "predict done damaged": "predict done damaged --on-bad skip",
    "predict done photo.png --preset cifar": "predict done photo.png",
    "predict imagenet:resnet81 photo.png": "",
    "predict compared photo.png": "",
    "predict cut photo.png": "",
    "report nowhere": "",
    "report birds": "",
    "resume nowhere": "",
    "resume begun": "resume begun --data elsewhere -q",
    "resume stopped --data nowhere": "",
    "resume stopped --data damaged": "",
    "resume stopped --data birds/a": "",
    "resume birds": "",
    "resume done --out x": "resume done",
    "resume done --fork": "resume done --fork --data elsewhere --out forked -q",
    "resume done --fork --data elsewhere --out spare": "",
    "resume done --fork --set train.lr=1": "",
    "models resnet81": "",
    "models --time": "",
    "analyze resnet81": "",
    "analyze bipyramid --option width": "analyze bipyramid --option width=8",
    "analyze bipyramid --option colour=8": "",
    "analyze bipyramid --draw a.png": "analyze bipyramid --draw a.svg",
    "analyze conv --input 1x2x3x4": "analyze conv --input 28 --kernel 3",
    "explain filtres photo.png": "",
    "explain filters photo.png --out a.jpg": "",
    "explain filters nowhere.png": "",
    "clean nowhere": "",
    "import-weights nowhere.pth -m resnet20 --out a.safetensors": "",
    "import-weights photo.png -m resnet20 --out a.safetensors": "",
    "recipes frozn": "",
    "tarin birds": "",
    "evaluate": "",
}


def told(words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Return the exit code of a command and the last line of stderr."""
    capsys.readouterr()
    code = run(shlex.split(words))
    return code, (capsys.readouterr().err.strip() or "\n").split("\n")[-1]


def require_possible(fix: str, verb: str) -> None:
    """Every option of a fix is one of its command, and every command in it can be parsed."""
    typed = re.findall(r"`striate ([^`]+)`", fix)
    for command in typed:
        name, *words = shlex.split(command)
        if name == "-h":
            continue
        flags = {flag for one in COMMANDS[name].params for flag in one.opts} | {"-h"}
        assert {word.partition("=")[0] for word in words if word.startswith("-")} <= flags, fix
        if words and "-h" not in words:
            COMMANDS[name].make_context(name, words)
    rest = re.sub(r"`[^`]+`", "", fix)
    verb = "train" if fix.startswith("train again") else verb
    flags = {flag for one in COMMANDS[verb].params for flag in one.opts} if verb in COMMANDS else set()
    assert set(re.findall(r"--[a-z][a-z-]*", rest)) <= flags, fix


@pytest.mark.parametrize("words", WAYS)
def test_a_fix_can_be_carried_out_and_helps(words, place, capsys, monkeypatch):
    monkeypatch.chdir(place)
    code, line = told(words, capsys)
    said = LINE.fullmatch(line)
    assert code and said and len(line) <= 240, line
    require_possible(said["fix"], words.split()[0])
    if WAYS[words]:
        code, again = told(WAYS[words], capsys)
        assert code == 0 or again != line, again
