"""H4: weights for another number of classes."""

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
    expect("head" not in again and "fresh" not in again, f"told of a new head that is not: {again}")
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


ROWS = (Row("H4", "weights of 10 classes, data of 12", other_classes),)
