"""docs/course.md: every row of a course is there, and its lines are commands and code that work."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import save_file
from typer.main import get_command

import striate as st
from striate.base import torchvision
from striate.cli.app import app, run
from striate.run.recipe import named

PAGE = (Path(__file__).parents[1] / "docs" / "course.md").read_text(encoding="utf-8")
ROWS = {
    letter + str(n) for letter, last in zip("ABCDEF", (9, 14, 14, 7, 9, 5), strict=True) for n in range(1, last + 1)
}
COMMANDS = get_command(app).commands
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
LINES = [line for language, block in BLOCKS if language == "sh" for line in block.splitlines()]
TRAINED = {"train", "study", "rate", "search"}
CHEAP = [line for line in LINES if line.startswith("striate analyze")]
QUICK = {  # what is added to a line, so that it is done in seconds
    "train": "--epochs 1 --threads 1 --quiet",
    "study": "--epochs 1 --threads 1 --quiet",
    "rate": "--steps 40 --threads 1 --quiet",
    "search": "--candidates 2 --epochs 1 --seeds 1 --threads 1 --quiet --set train.epochs=1",
    "models --time": "--size 32 --threads 1",
    "evaluate --adversarial": "--images 4 --steps 2",
    "predict imagenet:": "--weights mobilenet_v2.safetensors --preset torchvision",
    "predict coco:": "--weights ssdlite.safetensors --min-score 0.9",
}
SMALL = {  # data and weights that are not there, or large
    "--weights imagenet": "--weights mobilenet_v2.safetensors --set transfer.preset=torchvision",
    "--size 224": "--size 32",
    "--seeds 3": "--seeds 2",
    "mobilenet_v2 --out runs/ladder": "mobilenet_v2 --seeds 1 --out runs/ladder",
    "grid.toml": "grid.toml --quiet --threads 1",
    "--limit train=400,val=100,test=100": "--limit train=20,val=8,test=8",
    "--limit train=2000,val=1000,test=1000": "--limit train=20,val=8,test=8",
    "toy:shapes?objects=1..6": "toy:shapes?objects=1..3&n=24&size=64",
    "toy:shapes?objects=1..3&points=corners,centre": "toy:shapes?objects=1..3&points=corners,centre&n=24&size=64",
    "toy:shapes?points=corners,centre": "toy:shapes?points=corners,centre&n=40&size=16",
    "toy:shapes ": "toy:shapes?n=40&size=32 ",
    "toy:digits?n=2000": "toy:digits?n=60",
    "toy:digits?n=5000": "toy:digits?n=60",
    "toy:order?n=400": "toy:order?n=60",
    "coco:retinanet_resnet50_fpn": "coco:ssdlite320_mobilenet_v3_large",
    "fashion-mnist": "photos/",
    "cifar10": "photos/",
    "flowers102": "photos/",
}


def test_every_row_stands_on_the_page() -> None:
    assert len(ROWS) == 58
    assert ROWS - set(re.findall(r"\*\*([A-F]\d+)[.,]", PAGE)) == set()


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_a_command_with_its_options(line: str) -> None:
    program, name, *words = shlex.split(line)
    assert program == "striate"
    with COMMANDS[name].make_context(name, words) as context:
        settings = [one for one in context.params.get("set") or context.params.get("sets") or [] if one[:5] != "task."]
        if name in TRAINED:
            assert named("regularized").changed(settings)


def test_the_code_names_what_there_is() -> None:
    code = "".join(block for language, block in BLOCKS if language == "python")
    compile(code, "course.md", "exec")
    for thing, kind in (("st", st), ("run", st.Run), ("study", st.Study)):
        for attribute in re.findall(rf"\b{thing}\.(\w+)", code):
            assert hasattr(kind, attribute), f"{thing}.{attribute}"


@pytest.mark.parametrize("line", CHEAP)
def test_a_network_or_its_arithmetic_is_shown(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shlex.split(line)[1:]) == 0
    assert re.search("parameters|contributors", capsys.readouterr().out)


def quick(line: str) -> list[str]:
    """The words of the line on tiny data."""
    line += " "
    for text, small in SMALL.items():
        line = line.replace(text, small)
    _, name, *words = shlex.split(line)
    for start, more in QUICK.items():
        command, _, mark = start.partition(" ")
        if name == command and "grid.toml" not in words and (not mark or any(word.startswith(mark) for word in words)):
            words += shlex.split(more)
    return [name, *words]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with all that the page's lines are about."""
    shapes = st.open("toy:shapes?n=150&size=48")
    for index, label in enumerate(shapes.target("label").values):
        folder = tmp_path / "photos" / shapes.target("label").classes[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(shapes[index].image).save(folder / f"{index}.png")
    Image.fromarray(shapes[0].image).resize((96, 80)).save(tmp_path / "photo.jpg")
    (tmp_path / "grid.toml").write_text(
        'data = "photos"\nset = ["train.epochs=1"]\n[base]\nmodel = "mlp"\n[grid]\n"train.lr" = [0.003, 0.01]\n'
    )
    base = st.zoo.build("mobilenet_v2", classes=1000, seed=0)
    save_file(base.state_dict(), tmp_path / "mobilenet_v2.safetensors")
    detector = torchvision.load("torchvision.models").get_model(
        "ssdlite320_mobilenet_v3_large", weights=None, weights_backbone=None
    )
    save_file(detector.state_dict(), tmp_path / "ssdlite.safetensors")
    monkeypatch.chdir(tmp_path)
    yield tmp_path


def serves(words: list[str]) -> None:
    """The page of `striate explore` comes up, and ends when it is asked to."""
    command = [sys.executable, "-m", "striate", *words, "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        said = ""
        while "http://127.0.0.1" not in said and (line := child.stdout.readline()):
            said += line
        child.terminate()
        child.wait(30)
    assert "http://127.0.0.1" in said, said


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_the_page_runs_from_top_to_bottom(desk: Path) -> None:
    names: dict[str, object] = {}
    failed = []
    for language, block in BLOCKS:
        if language == "python":
            exec(compile(block.replace("epochs=20", "epochs=1"), "course.md", "exec"), names)
            continue
        for line in block.splitlines():
            words = quick(line)
            if words[0] == "explore" and "--export" not in words:
                serves(words)
            elif code := run(words):
                failed.append(f"{line}: {code}")
    assert not failed, "\n".join(failed)
