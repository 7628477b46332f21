"""Maps of frozen rows: the rest of a network learns the same from them as from images, and resumes bit for bit."""

import numpy as np
import pytest
import torch
from seam import require_equal, stop_after

from striate.base.errors import Interrupted, SettingsError
from striate.base.progress import Progress
from striate.base.rundir import RunDir
from striate.data.open import open_dataset
from striate.model import zoo
from striate.run.execute import resume, train
from striate.run.network import build_network
from striate.run.prepare import prepare
from striate.run.recipe import named
from striate.task.views import leaves
from striate.transfer.maps import Trunk, known_maps

QUIET = Progress("quiet")
TOY = "toy:shapes?objects=1..3&n=24&size=32&noise=0"
FEW = [
    "train.epochs=2",
    "train.batch_size=4",
    "data.size=32",
    "model.encoder=bipyramid",
    "train.precision=float32",
    "train.patience=0",
]


@pytest.fixture(scope="module")
def data():
    return open_dataset(TOY, task="detect")


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """Weights to begin with."""
    recipe = named("detect").changed([*FEW, "train.epochs=1", "augment=none"])
    return train(data, "fcos", recipe, out=tmp_path_factory.mktemp("body") / "run", progress=QUIET)


def frozen(trained, *changes):
    return named("frozen").changed([*FEW, f"transfer.weights={trained.path}", *changes])


@pytest.mark.parametrize(
    ("where", "task", "model", "last"),
    [(TOY, "detect", "faster_rcnn", "body"), ("toy:shapes?n=24&size=32", "segment", "unet", "level2")],
)
def test_a_network_answers_from_known_maps_what_it_answers_from_images(where, task, model, last):
    data = open_dataset(where, task=task)
    changes = [one for one in FEW if task == "detect" or "encoder" not in one]
    recipe = named("detect" if task == "detect" else "baseline").changed([*changes, "augment=light"])
    target = None if task == "detect" else "mask"
    prepared = prepare(data, recipe, target=target, device=torch.device("cpu"), progress=QUIET, model=model)
    network = build_network(zoo.blueprint(model, **({"encoder": "bipyramid"} if task == "detect" else {})), prepared, 0)
    network.eval()
    trunk = Trunk.of(network, last, "float32")
    batches = known_maps(prepared, trunk, "train", seed=1, views=2, progress=QUIET)
    assert not torch.equal(batches.views[0][trunk.ends[0]], batches.views[1][trunk.ends[0]])  # one is augmented
    for epoch in range(3):
        for batch in batches.batches(epoch):
            with torch.no_grad():
                live = leaves(prepared.task.forward(network, batch))
                known = leaves(prepared.task.forward(network, batch, **batch.options))
            for a, b in zip(live, known, strict=True):
                assert torch.allclose(a, b, rtol=1e-2, atol=1e-2 * float(a.abs().max()))
    orders = [np.concatenate([batch.index for batch in batches.batches(epoch)]) for epoch in range(2)]
    assert not np.array_equal(*orders) and np.array_equal(*map(np.sort, orders))


@pytest.mark.filterwarnings("ignore")
def test_a_run_on_known_maps_learns_what_a_live_one_does_and_resumes_bit_for_bit(data, trained, tmp_path, capsys):
    live = train(
        data, "fcos", frozen(trained, "augment=none", "transfer.views=0"), out=tmp_path / "live", progress=QUIET
    )
    capsys.readouterr()
    recipe = frozen(trained, "augment=none")
    run = train(data, "fcos", recipe, out=tmp_path / "a", progress=Progress())
    assert "the maps of the frozen rows, up to pool5, are kept\n" in capsys.readouterr().err
    first, same = live.history()[0], run.history()[0]  # later on, what rounding changes grows
    assert same["train"]["loss"] == pytest.approx(first["train"]["loss"], rel=0.005)
    assert same["val"]["loss"] == pytest.approx(first["val"]["loss"], rel=0.005)
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 6)
        with pytest.raises(Interrupted):
            train(data, "fcos", recipe, out=tmp_path / "b", progress=QUIET)
    resume(tmp_path / "b", dataset=data, progress=QUIET)
    require_equal(run, RunDir(tmp_path / "b"))


@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_kept_is_said(data, trained, tmp_path, capsys):
    recipe = frozen(trained, "augment=mosaic", "train.epochs=1")
    train(data, "fcos", recipe, out=tmp_path / "a", progress=Progress())
    assert "the frozen rows run in every epoch: mosaic mixes images of a batch" in capsys.readouterr().err
    with pytest.raises(SettingsError, match="one view of each image at least"):
        named("features").changed(["transfer.views=0"])
