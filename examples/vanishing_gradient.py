"""Why deep networks did not train, and what cured them: the gradient of every row, from sigmoid to skips.

Each line adds one cure to the line before: a sigmoid passes at most a quarter of the gradient, and filters drawn
without regard to their number of inputs shrink what is left, row by row.
"""

import sys

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import striate as st

IS_QUICK = "--quick" in sys.argv
DEPTH = 12
RECIPE = st.recipe("baseline").changed(
    ["train.record_gradients=true", "train.patience=0", "train.lr=0.002", f"train.epochs={2 if IS_QUICK else 20}"]
)
VARIANTS = {
    "sigmoid, normal init": {"activation": "sigmoid", "init": "normal"},
    "+ ReLU": {"init": "normal"},
    "+ He init": {},
    "+ batch norm": {"norm": "batch"},
    "+ skips": {"norm": "batch", "has_skips": True},
}


def network(name: str, activation: str = "relu", init: str = "he", norm: str = "none", has_skips: bool = False):
    """Return twelve convolutions in a row; with skips, every second one is added to what came before."""
    rows = [st.Row("conv", 16, name="conv1")]
    before = "conv1"
    for index in range(2, DEPTH + 1):
        rows.append(st.Row("conv", 16, stride=2 if index == DEPTH // 2 else 1, name=f"conv{index}"))
        if index == DEPTH // 2:
            before = f"conv{index}"
        elif has_skips and index % 2:
            rows.append(st.Row("add", inputs=(before, f"conv{index}"), name=f"skip{index}"))
            before = f"skip{index}"
    rows += [st.Row("global_pool", name="pool"), st.Row("linear", options={"activation": "none"}, name="outputs")]
    return st.Blueprint(name, tuple(rows), defaults={"activation": activation, "norm": norm}, init=init)


def gradients(run) -> list[float]:
    """Return the gradient norm of each convolution after the first epoch."""
    rows = run.history[0]["rows"]
    return [rows[f"conv{index}"]["gradient_norm"] for index in range(1, DEPTH + 1)]


def draw(found: dict[str, list[float]], path: str) -> None:
    """Write the figure: gradient norm over depth, one line a variant, names at the lines' ends."""
    figure = Figure(figsize=(8, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(yscale="log", xlabel="convolution, from the image to the output")
    axes.set_title("Gradient norm of each row after one epoch", loc="left", fontweight="bold")
    colours = ("#b23315", "#946000", "#565d66", "#0a5c84", "#1b7346")
    for (name, norms), colour in zip(found.items(), colours, strict=True):
        axes.plot(range(1, DEPTH + 1), norms, "o-", color=colour, linewidth=2, markersize=4, label=name)
    axes.legend(frameon=False, loc="lower right")
    axes.grid(axis="y", color="#e2e5e8")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=144)


train, data = st.train, st.open("toy:shapes?n=80&size=16" if IS_QUICK else "toy:shapes?n=1200&size=32")
runs = {name: train(data, network(name.strip("+ "), **options), RECIPE) for name, options in VARIANTS.items()}
found = {name: gradients(run) for name, run in runs.items()}
print(f"{'network':<22} {'first / last row':>17} {'dead units':>11} {'val accuracy':>13}")
for name, run in runs.items():
    dead = [row["dead_frac"] for row in run.history[-1]["rows"].values() if "dead_frac" in row]
    share = f"{sum(dead) / len(dead):.0%}" if dead else "-"
    best = max(row["val"]["accuracy"] for row in run.history)
    print(f"{name:<22} {found[name][0] / max(found[name][-1], 1e-30):>17.1e} {share:>11} {best:>13.3f}")
draw(found, "vanishing_gradient.png")
print("figure: vanishing_gradient.png")
