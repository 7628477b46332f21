"""G1, G2, G3, G7: settings that cannot be meant, networks that cannot be, an output folder that is there already."""

import json
import shutil

from .bench import Bench, expect
from .pictures import SMALL, write_tree
from .sheet import Row

MISSPELT = (  # words, what the last line must hold
    (("train", "data", "--set", "train.learing_rate=1"), ("learing_rate", "did you mean lr")),
    (("train", "data", "--set", "train.epoch=1"), ("did you mean epochs",)),
    (("train", "data", "--set", "trian.epochs=1"), ("did you mean train",)),
    (("train", "data", "--set", "train"), ("--set", "field=value")),
    (("train", "data", "--model", "bipyramd"), ("did you mean 'bipyramid'",)),
    (("train", "data", "--recipe", "regularised"), ("did you mean 'regularized'",)),
    (("train", "data", "--fit", "squish"), ("squash", "data.fit")),
    (("train", "data", "--task", "clasify"), ("did you mean 'classify'",)),
    (("train", "data", "--on-bad", "ignore"), ("--on-bad", "stop or skip")),
    (("train", "data", "--size", "0"), ("data.size",)),
    (("train", "data", "--per-class", "0"), ("--per-class",)),
    (("train", "data", "--learing-rate", "1"), ("--learing-rate", "striate train -h")),
    (("trian", "data"), ("Did you mean 'train'",)),
    (("analyze", "resnet81"), ("did you mean 'resnet18'",)),
    (("analyze", "bipyramid", "--option", "norn=batch"), ("did you mean 'norm'",)),
    (("recipes", "baselin"), ("did you mean 'baseline'",)),
    (("models", "bipyramd"), ("did you mean 'bipyramid'",)),
    (("evaluate", "run", "--split", "tset"), ("did you mean 'test'",)),
)
FILES = {  # a recipe file, what the last line must hold
    "typo.toml": ("[train]\nlearing_rate = 1.0\n", ("learing_rate", "did you mean lr")),
    "text.toml": ('[train]\nepochs = "four"\n', ("train.epochs", "four")),
    "truth.toml": ("[train]\nepochs = true\n", ("train.epochs", "true")),
    "octal.toml": ("[train]\nepochs = 010\n", ("not TOML", "line 2")),
    "twice.toml": ("[train]\nlr = 0.1\nlr = 0.2\n", ("not TOML", "line 3")),
    "yes.toml": ("[train]\nepochs = yes\n", ("not TOML", "line 2")),
    "tabs.toml": ("[train]\n\tepochs:\t4\n", ("not TOML", "line 2")),
    "nan.toml": ("[train]\nlr = nan\n", ("train.lr", "finite")),
    "huge.toml": ("[train]\nepochs = 99999999999999999999\n", ("train.epochs",)),
    "deep.toml": ("x = " + "[" * 50_000, ("not TOML",)),
    "bytes.toml": ("[train]\ntext = '\udcff'\n", ("not TOML",)),
    "base.toml": ('base = "regularised"\n', ("did you mean 'regularized'",)),
}
ROW = '[[rows]]\nblock = "{}"\n'
NETWORKS = {  # rows of a blueprint, what the last line must hold: the row, its input, the rule
    "kernel": ('name = "big"\nwidth = 8\noptions = {kernel = 65, padding = 0}\n', ("big: conv on 3x24x24", "65x65")),
    "groups": ('name = "odd"\nwidth = 9\noptions = {groups = 2}\n', ("odd: conv on 3x24x24", "groups=2 must divide")),
    "option": ('name = "one"\nwidth = 8\noptions = {in_channels = 7}\n', ("one: conv on 3x24x24", "in_channels")),
    "width": ('name = "none"\nwidth = -4\n', ("none", "width")),
}


def misspelt(bench: Bench) -> str:
    write_tree(bench.folder / "data")
    bench.works("train", "data", *SMALL, "--out", "run")
    for words, names in MISSPELT:
        bench.refuses(2, *words, names=names)
    (bench.folder / "typo.toml").write_text(FILES["typo.toml"][0])
    bench.refuses(2, "train", "data", "--recipe", "typo.toml", names=["typo.toml", "did you mean lr"])
    (bench.folder / "study.toml").write_text('data = "data"\n[[variant]]\nname = "a"\nmodle = "mlp"\n')
    bench.refuses(2, "study", "study.toml", names=["study.toml", "did you mean model"])
    return f"{len(MISSPELT) + 2} mistakes, each with the nearest known name or the allowed values"


def traps(bench: Bench) -> str:
    write_tree(bench.folder / "data")
    for name, (text, names) in FILES.items():
        (bench.folder / name).write_bytes(text.encode("utf-8", "surrogateescape"))
        outcome = bench.refuses(2, "train", "data", "--recipe", name, "--out", "run", names=names)
        expect(name in outcome.last or name == "base.toml", f"does not name {name}: {outcome.last}")
        expect(outcome.cpu_s < 1, f"{name} takes {outcome.cpu_s:.1f} s")
    bench.refuses(2, "train", "data", "--set", "train.lr=" + "[" * 50_000, "--out", "run", names=["train.lr"])
    bench.refuses(2, "train", "data", "--recipe", "nowhere.toml", names=["nowhere.toml"])
    good = "[train]\nlr = 1e-3\nepochs = 1_0\nepochs2 = 1\n".replace("epochs2 = 1\n", "")
    (bench.folder / "good.toml").write_text(good)
    bench.works("train", "data", "--recipe", "good.toml", *SMALL, "--out", "run")
    train = json.loads((bench.folder / "run" / "run.json").read_text())["recipe"]["train"]
    expect(train["lr"] == 0.001 and isinstance(train["lr"], float), f"1e-3 became {train['lr']!r}")
    return f"{len(FILES) + 2} files and values refused by name, 1e-3 is a number"


def impossible(bench: Bench) -> str:
    write_tree(bench.folder / "data")
    for name, (conv, names) in NETWORKS.items():
        rows = ROW.format("conv") + conv + ROW.format("global_pool") + ROW.format("linear")
        (bench.folder / f"{name}.toml").write_text(rows)
        bench.refuses(2, "analyze", f"{name}.toml", "--size", 24, names=names)
        bench.refuses(2, "train", "data", "--model", f"{name}.toml", "--out", "run", "-q")
        expect(not (bench.folder / "run").exists(), "a run folder was begun")
    join = ROW.format("conv") + 'name = "a"\nwidth = 4\n' + ROW.format("conv") + 'name = "b"\nwidth = 6\n'
    join += ROW.format("add") + 'name = "sum"\ninputs = ["a", "b"]\n' + ROW.format("global_pool") + ROW.format("linear")
    (bench.folder / "join.toml").write_text(join)
    bench.refuses(2, "analyze", "join.toml", "--size", 24, names=["sum", "4x24x24", "6x24x24"])
    (bench.folder / "typo.toml").write_text(ROW.format("covn"))
    bench.refuses(2, "analyze", "typo.toml", names=["covn", "conv"])
    return f"{len(NETWORKS) + 2} networks refused by row, input and rule"


def folder_exists(bench: Bench) -> None:
    write_tree(bench.folder / "data")
    words = ("train", "data", *SMALL, "--out", "run")
    bench.works(*words)
    old = {name: value for name, value in bench.hashes().items() if name.startswith("run/")}
    bench.refuses(2, *words, names=["run", "--overwrite"])
    bench.works(*words, "--overwrite", may_change=["run"])
    kept = bench.hashes()
    moved = {name.replace("run/", "run.old1/", 1): value for name, value in old.items() if not name.endswith(".lock")}
    expect(all(kept.get(name) == value for name, value in moved.items()), "the old folder was changed, not moved aside")
    shutil.rmtree(bench.folder / "run")
    (bench.folder / "run").mkdir()
    bench.works(*words)
    (bench.folder / "mine").mkdir()
    (bench.folder / "mine" / "diary.txt").write_text("not a run\n")
    bench.refuses(2, "study", "data", "--seeds", 1, "--out", "mine", names=["mine", "not empty"])
    for out in ("mine", "data", ".", "data/cat"):
        bench.refuses(2, *words[:-1], out, "--overwrite", names=["no run, study or search", "another --out"])
    (bench.folder / "run" / ".lock").unlink()
    (bench.folder / "run" / ".lock").symlink_to("../mine/diary.txt")
    bench.refuses(5, *words, "--overwrite", names=[".lock", "symbolic link"])
    expect((bench.folder / "mine" / "diary.txt").read_text() == "not a run\n", "written through a link")


ROWS = (
    Row("G1", "unknown or misspelt names", misspelt),
    Row("G2", "settings files: types, twice, deep, not UTF-8", traps),
    Row("G3", "impossible networks", impossible),
    Row("G7", "output folder exists", folder_exists),
)
