"""How far back in time a recurrent network learns: the loss's gradient at each step, RNN against LSTM, clipped or not.

Run it on a folder of `.ts` files of series of one length, or without one on a toy whose class is the order of events.
"""

import sys

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch.nn import functional as F

import striate as st
from striate.inside.through_time import through_time

IS_QUICK = "--quick" in sys.argv
WHERE = next((one for one in sys.argv[1:] if not one.startswith("--")), "toy:order?n=200&length=60")
EPOCHS, RATE, BATCH = (2 if IS_QUICK else 60), 0.005, 10
COLOURS = {"rnn": "#b23315", "lstm": "#0a5c84", "gru": "#1b7346"}


def series(data, split: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the series (N, C, 1, L) of a split, with the training series' mean and deviation, and their classes."""
    values = {name: np.stack([data.images.values[index] for index in data.splits[name]]) for name in ("train", split)}
    mean, std = values["train"].mean((0, 1)), values["train"].std((0, 1))
    scaled = ((values[split] - mean) / std).transpose(0, 2, 1)[:, :, None]
    return torch.from_numpy(scaled.astype(np.float32)), torch.from_numpy(data.target().values[data.splits[split]])


def train(network, x: torch.Tensor, truth: torch.Tensor, clip: float | None) -> tuple[float, float]:
    """Train by Adam; return the largest gradient norm of the weights before clipping, and the training accuracy."""
    optimiser = torch.optim.Adam(network.parameters(), RATE)
    order, largest = torch.Generator().manual_seed(0), 0.0
    for _ in range(EPOCHS):
        for part in torch.randperm(len(x), generator=order).split(BATCH):
            optimiser.zero_grad()
            F.cross_entropy(network(x[part]), truth[part]).backward()
            norm = torch.nn.utils.clip_grad_norm_(network.parameters(), clip or float("inf"))
            largest = max(largest, float(norm))
            optimiser.step()
    with torch.no_grad():
        return largest, float((network(x).argmax(1) == truth).float().mean())


def draw(lines: dict[str, np.ndarray], path: str) -> None:
    """Write the figure: gradient norm over time, names in a legend; dashed before training."""
    figure = Figure(figsize=(8, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(yscale="log", xlabel="time step", ylabel="mean |dL/dx| of a series")
    axes.set_title("How strongly the loss pulls on each step", loc="left", fontweight="bold")
    for name, norms in lines.items():
        style = ":" if "start" in name else "--" if "clipped" in name else "-"
        axes.plot(norms, style, color=COLOURS[name.split(",")[0]], linewidth=1.5, label=name)
    axes.legend(frameon=False, ncols=3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=144)


data = st.open(WHERE)
x, truth = series(data, "train")
lines = {}
print(f"{WHERE}: {len(x)} series of {x.shape[3]} steps")
print(f"{'network':<14} {'first / last tenth of the steps':>32} {'largest gradient':>17} {'train accuracy':>15}")
for name in COLOURS:
    for clip in (None, 1.0):
        torch.manual_seed(0)
        network = st.zoo.build(name, channels=x.shape[1], classes=data.classes, size=(1, x.shape[3]), seed=0)
        start = through_time(network, x, truth)
        largest, accuracy = train(network, x, truth, clip)
        end = through_time(network, x, truth)
        title = f"{name}, {'clipped at 1' if clip else 'not clipped'}"
        reach = f"{start.reach:.1e} -> {end.reach:.1e}"
        print(f"{title:<18} {reach:>28} {largest:>17.2g} {accuracy:>15.3f}")
        lines[title] = end.norms
        if not clip:
            lines[f"{name}, at the start"] = start.norms
draw(lines, "gradients_over_time.png")
print("figure: gradients_over_time.png")
