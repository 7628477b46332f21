"""F13, H4, H8: networks that are wrapped or share weights; weights for other classes; what names in files say."""

import json

from .bench import Bench, expect
from .pictures import SMALL, write_tree
from .sheet import Row

NAMES = tuple(f"class-{number:02d}" for number in range(12))
LOUD = [word for word in SMALL if word != "-q"]


def other_classes(bench: Bench) -> str:
    from striate.base.errors import ModelError
    from striate.base.rundir import RunDir
    from striate.base.tensors import read_tensors
    from striate.model.build import build
    from striate.model.weights import load
    from striate.run.network import stored_blueprint

    for num in (10, 12):
        write_tree(bench.folder / f"data{num}", NAMES[:num], 8)
    bench.works("train", "data10", *SMALL, "--out", "ten")
    outcome = bench.works("train", "data12", *LOUD, "--weights", "ten", "--out", "twelve")
    said = "the head had 10 outputs, the new one has 12"
    expect(said in outcome.err, f"the new head is not told of: {outcome.err[:300]}")
    info = json.loads((bench.folder / "twelve" / "run.json").read_text())
    expect(said in info["start"]["text"] and info["start"]["source"].startswith("ten"), f"noted: {info['start']}")
    expect(info["task"]["names"] == list(NAMES), "the class list is not the data's")
    bench.works("train", "data10", *LOUD, "--weights", "ten", "--out", "same")
    again = json.loads((bench.folder / "same" / "run.json").read_text())["start"]["text"]
    expect("the head is kept: the same classes" in again and "fresh" not in again, f"a new head that is not: {again}")
    write_tree(bench.folder / "others", [f"other-{name}" for name in NAMES[:10]], 8)
    bench.works("train", "others", *LOUD, "--weights", "ten", "--out", "others-run")
    other = json.loads((bench.folder / "others-run" / "run.json").read_text())["start"]["text"]
    expect("the head is new: the run's classes are class-00" in other, f"ten other classes have the old head: {other}")
    run = RunDir(bench.folder / "ten")
    network = build(stored_blueprint(run.info(), run), channels=3, outputs=12, size_hw=(24, 24), seed=0)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    try:
        load(network, run.weights)
        expect(False, "weights for 10 classes went into a head for 12")
    except ModelError as problem:
        expect(problem.exit_code == 4, f"exit code {problem.exit_code}")
        expect("10x" in problem.what and "12x" in problem.what, f"not both numbers: {problem.what}")
        expect("reset_head=True" in problem.fix, f"not offered: {problem.fix}")
    expect(all(bool((tensor == before[name]).all()) for name, tensor in network.state_dict().items()), "half loaded")
    load(network, run.weights, reset_head=True)
    body = {name: tensor for name, tensor in read_tensors(run.weights).items() if "outputs" not in name}
    loaded = network.state_dict()
    expect(
        body and all(bool((loaded[name] == tensor).all()) for name, tensor in body.items()),
        "the body is not taken over",
    )
    return said


def wrapped(bench: Bench) -> str:
    """Train a module whose heads share a weight, in every wrapping; the plain module reads each run."""
    import numpy as np
    import torch

    from striate.api import train
    from striate.base.progress import Progress
    from striate.base.tensors import read_tensors
    from striate.run.recipe import named

    class Twins(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.conv, self.norm = torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)
            self.head, self.twin = torch.nn.Linear(4, 2), torch.nn.Linear(4, 2)
            self.twin.weight = self.head.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.norm(self.conv(x)).relu().mean((2, 3))
            return torch.as_tensor(self.head(x) + self.twin(x))

    write_tree(bench.folder / "data")
    wraps = {
        "plain": lambda network: network,
        "parallel": torch.nn.DataParallel,
        "compiled": lambda network: torch.compile(network, backend="eager"),
    }
    recipe, answers = named("baseline").changed(["train.epochs=1", "train.precision=float32"]), set()
    for name, wrap in wraps.items():
        out, quiet = bench.folder / name, Progress("quiet")
        run = train(str(bench.folder / "data"), wrap(Twins()), recipe, out=out, progress=quiet)
        names = set(read_tensors(run.folder.weights))
        expect(names == {*Twins().state_dict()} - {"twin.weight"}, f"{name}: kept {sorted(names)}")
        found = run.predict([np.full((24, 24, 3), 99, np.uint8)], network=Twins())[0].probabilities or {}
        answers.add(tuple(round(value, 5) for value in found.values()))
    expect(len(answers) == 1, f"the wrappings differ: {answers}")
    return "tied weights once, own names, equal answers"


def misnamed(bench: Bench) -> str:
    """Tensors below a prefix are read; those in another order, or with numbers that are none, are refused by name."""
    import numpy as np
    from safetensors.numpy import save_file

    from striate.model import zoo

    state = {name: value.numpy() for name, value in zoo.build("resnet20", classes=10, seed=0).state_dict().items()}
    save_file({f"model.{name}": value for name, value in state.items()}, bench.folder / "prefixed.safetensors")
    words = ("--model", "resnet20", "--out", "out.safetensors")
    bench.works("import-weights", "prefixed.safetensors", *words)
    order = [name for name in state if "tracked" not in name]
    theirs = {f"their.{name.removeprefix('rows.')}": state[name] for name in order}
    bias, mean = [next(name for name in theirs if name.endswith(word)) for word in ("bias", "running_mean")]
    swapped = {{bias: mean, mean: bias}.get(name, name): value for name, value in theirs.items()}
    np.savez(bench.folder / "swapped.npz", **swapped)
    bench.refuses(4, "import-weights", "swapped.npz", *words, names=[mean, "would go into rows."])
    for value in (np.nan, np.inf):
        np.savez(bench.folder / "broken.npz", **{**theirs, bias: np.full_like(theirs[bias], value)})
        bench.refuses(4, "import-weights", "broken.npz", *words, names=[bias, "not finite"])
    return "prefix read, order and numbers refused by name"


ROWS = (
    Row("F13", "compiled and parallel modules, tied weights", wrapped),
    Row("H4", "weights of 10 classes, data of 12", other_classes),
    Row("H8", "weights below a prefix, in another order, not finite", misnamed),
)
