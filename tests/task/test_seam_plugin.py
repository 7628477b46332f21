"""A task in a user's own file: by --plugin in every command, in a study's workers, and named where it is missing."""

import json

import numpy as np
import pytest
from PIL import Image

from striate.base import plugin
from striate.base.rundir import RunDir
from striate.cli.app import run
from striate.data.target import TASK_KINDS
from striate.task import TASKS

OWN = """
import torch.nn.functional as F
from striate.metric.accuracy import ACCURACY
from striate.task import Decoded, Defaults, register


@register
class Mine(Defaults):
    name = "mine"
    kinds = ("label",)
    kind = "label"
    metrics = (ACCURACY,)

    def losses(self, outputs, batch):
        return F.cross_entropy(outputs, batch.targets[self.target], reduction="none")

    def decode(self, outputs):
        return Decoded(outputs.argmax(1), outputs.softmax(1))
"""
WORDS = ["toy:shapes?n=60&size=16&clutter=0", "--task", "mine", "--size", "16", "--set", "train.epochs=2", "--quiet"]
WORDS += ["--set", "train.precision=float32", "--set", "model.width=8", "--augment", "none"]

PLAN = f"""data = "{WORDS[0]}"
seeds = 1
set = ["data.size=16", "train.epochs=1", "train.precision=float32"]
options.task = "mine"
variant = [{{name = "a", model = "mlp"}}, {{name = "b", model = "mlp"}}]
"""


@pytest.fixture(autouse=True)
def tables():
    """The tables as they were."""
    kept = [(table, dict(table)) for table in (TASKS, TASK_KINDS, plugin.LOADED)]
    yield
    for table, before in kept:
        table.clear()
        table.update(before)


@pytest.fixture
def own(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(OWN)
    return str(file)


def forget():
    """As a new process is."""
    for table in (TASKS, TASK_KINDS):
        table.pop("mine", None)
    plugin.LOADED.clear()


@pytest.mark.filterwarnings("ignore")
def test_a_run_says_which_plugin_it_needs(own, tmp_path, capsys):
    folder = str(tmp_path / "run")
    assert run(["train", *WORDS, "--plugin", own, "--threads", "1", "--out", folder, "--keep-checkpoints"]) == 0
    info = RunDir(folder).info()
    assert [one["file"] for one in info["plugins"]] == ["own.py"]
    assert info["task"]["plugin"] == "own.py"
    forget()
    for command in (["evaluate", folder], ["resume", folder, "--epochs", "3"]):
        capsys.readouterr()
        assert run(command) in {2, 4}
        said = capsys.readouterr().err
        assert "no task 'mine' is known here" in said or "unknown task 'mine'" in said
        assert "--plugin own.py" in said
    (tmp_path / "own.py").write_text(OWN + "\n# another line\n")
    assert run(["resume", folder, "--epochs", "3", "--plugin", own]) == 0
    assert "the plugin own.py changed since the run began" in capsys.readouterr().err
    assert run(["evaluate", folder]) == 0


@pytest.mark.filterwarnings("ignore")
def test_the_workers_of_a_study_load_it_and_a_view_is_refused_that_nothing_is_known_of(own, tmp_path, capsys):
    folder = tmp_path / "study"
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN)
    code = run(["study", str(plan), "--plugin", own, "--parallel", "2", "--quiet", "--out", str(folder)])
    assert code == 0, capsys.readouterr().err
    verdict = json.loads((folder / "verdict.json").read_text())
    assert verdict["metric"] == "accuracy"
    one = next(path.parent for path in sorted(folder.rglob("run.json")))
    assert RunDir(one).info()["plugins"][0]["file"] == "own.py"
    assert run(["evaluate", str(one), "--views", "2"]) == 3
    assert "the task mine does not say how several views of an image are merged" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore")
def test_a_head_that_changed_is_refused_in_one_line_and_the_run_stays_as_it_was(own, tmp_path, capsys):
    folder, file = tmp_path / "run", tmp_path / "own.py"
    words = [*WORDS, "--model", "mlp", "--keep-checkpoints", "--threads", "1"]
    assert run(["train", *words, "--plugin", own, "--out", str(folder)]) == 0
    before = (folder / "run.json").read_bytes()
    wider = OWN.replace("Decoded,", "Decoded, Vector,").replace("    metrics", "    head = Vector(9)\n    metrics")
    file.write_text(wider)
    forget()
    capsys.readouterr()
    assert run(["resume", str(folder), "--plugin", own, "--epochs", "3"]) == 4
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "the plugin makes another network now" in last and "in the checkpoint (5, 8)" in last
    assert (folder / "run.json").read_bytes() == before
    file.write_text(OWN)
    forget()
    assert run(["resume", str(folder), "--plugin", own, "--epochs", "3", "--quiet"]) == 0


def test_what_is_no_task_is_refused_when_it_is_registered(tmp_path, capsys):
    for lack, text in (("metrics", "    metrics = (ACCURACY,)\n"), ("loss", "losses(self"), ("name", 'name = "mine"')):
        file = tmp_path / f"no_{lack}.py"
        file.write_text(OWN.replace(text, {"loss": "other(self", "name": 'name = ""'}.get(lack, "")))
        assert run(["models", "--plugin", str(file)]) == 2
        assert f"a task without {lack}" in capsys.readouterr().err
    assert "mine" not in TASKS


LOSS, DECODE = (
    "    def losses(self, outputs, batch):\n",
    "        return Decoded(outputs.argmax(1), outputs.softmax(1))\n",
)
BROKEN = {  # a mistake in the file -> what is said of it
    "raises": ((LOSS, LOSS + "        1 / 0\n"), "the plugin fails: ZeroDivisionError: division by zero: {file}:15 "),
    "few outputs": (("    metrics", "    head = Vector(2)\n    metrics"), "the plugin fails: IndexError: Target "),
    "one loss": (("none", "mean"), "losses of the task mine gives shape (), wanted is a loss of each image (42,)"),
    "a tensor": (
        (DECODE, "        return outputs\n"),
        "decode of the task mine gives shape (42, 5), wanted is an instance",
    ),
    "logits": ((DECODE, "        return Decoded(outputs)\n"), "wanted is values laid out as the truth (42,)"),
    "records": (
        ("(ACCURACY,)", '(Metric("w", "w", record=lambda answers: answers.losses[:3]),)'),
        "the metric w of the task mine gives shape (3, 1), wanted is numbers of each image (42, S)",
    ),
    "loss": (
        (LOSS, "    def loss(self, outputs, batch):\n"),
        "loss of the task mine gives shape (42,), wanted is a dict",
    ),
}


@pytest.mark.parametrize("mistake", BROKEN)
@pytest.mark.filterwarnings("ignore")
def test_a_mistake_in_a_task_is_one_line_with_its_place_and_leaves_nothing(tmp_path, capsys, mistake):
    (before, after), line = BROKEN[mistake]
    file = tmp_path / "own.py"
    text = OWN.replace(before, after).replace("import Decoded,", "import Decoded, Vector,")
    file.write_text("from striate.metric import Metric\n" + text.lstrip())
    assert run(["train", *WORDS, "--plugin", str(file), "--threads", "1", "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert line.format(file=file) in said[-1]
    assert sum(one.startswith("error") for one in said) == 1
    assert not (tmp_path / "run").exists()


PYRAMID = """
import torch.nn.functional as F
from striate.base.settings import Settings
from striate.metric import Metric
from striate.task import Decoded, Defaults, Pyramid, register


@register
class Mine(Defaults):
    name = "mine"
    kinds = ("mask",)
    metrics = (Metric("pixels", "pixels right", record=lambda answers: (answers.truth == answers.values).mean((1, 2))),)

    class Options(Settings):
        power: float = 1.0

    @property
    def head(self):
        return Pyramid(len(self.names))

    def losses(self, outputs, batch):
        truth = batch.targets[self.target]
        wide = F.interpolate(outputs[0], size=truth.shape[1:])
        return F.cross_entropy(wide, truth, reduction="none", ignore_index=255).mean((1, 2))

    def decode(self, outputs):
        return Decoded(F.interpolate(outputs[0], size=(16, 16)).argmax(1))
"""


@pytest.mark.filterwarnings("ignore")
def test_maps_of_several_heads_are_predicted_and_the_advised_command_keeps_plugin_and_settings(tmp_path, capsys):
    file, folder, image = tmp_path / "own.py", tmp_path / "run", tmp_path / "one.png"
    file.write_text(PYRAMID)
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(image)
    words = ["--plugin", str(file), "--threads", "1", "--out", str(folder), "--set", "task.power=2"]
    assert run(["train", *WORDS, *words]) == 0
    capsys.readouterr()
    assert run(["predict", str(folder), str(image), "--plugin", str(file)]) == 0
    assert "background" in capsys.readouterr().out
    assert run(["resume", str(folder), "--epochs", "3", "--plugin", str(file)]) == 4
    said = capsys.readouterr().err
    assert "--set task.power=2" in said
    assert f"--plugin {file}" in said
