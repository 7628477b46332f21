"""One training as a plain PyTorch notebook has it, from import to confusion matrix; `notebooks.py` starts it.

The input is that of the tutorials: ImageFolder, DataLoader with workers, float32, default layout, the best epoch's
weights kept in a temporary folder. The recipe (network, augmentation, one cycle of AdamW, epochs) is Striate's.
"""

import argparse
import json
import math
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn

from striate.base.torchvision import load  # so that it imports beside a CPU build of torch too

parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("--variant", choices=["baseline", "augmented", "regularized"], default="baseline")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--size", type=int, default=64)
parser.add_argument("--batch", type=int, default=64)
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--workers", type=int, default=2)
arguments = parser.parse_args()
has_moves, is_regularized = arguments.variant != "baseline", arguments.variant == "regularized"
torch.set_num_threads(arguments.threads)
torch.manual_seed(arguments.seed)
v2, datasets = load("torchvision.transforms.v2"), load("torchvision.datasets")

fit = [v2.Resize(arguments.size), v2.CenterCrop(arguments.size)]
normalise = [v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
moves = [
    v2.RandomHorizontalFlip(),
    v2.RandomAffine(12, translate=(0.1, 0.1), scale=(0.85, 1.25), interpolation=v2.InterpolationMode.BILINEAR),
    v2.ColorJitter(0.2, 0.2, 0.2),
]
plain = v2.Compose([v2.ToImage(), *fit, *normalise])
moved = v2.Compose([*fit, *moves, v2.ToImage(), *normalise])  # these moves are faster on PIL's images than on tensors
train_set = datasets.ImageFolder(f"{arguments.data}/train", moved if has_moves else plain)
val_set, test_set = (datasets.ImageFolder(f"{arguments.data}/{split}", plain) for split in ("val", "test"))
options = {"batch_size": arguments.batch, "num_workers": arguments.workers}
train_loader = torch.utils.data.DataLoader(train_set, shuffle=True, persistent_workers=True, **options)
val_loader = torch.utils.data.DataLoader(val_set, persistent_workers=True, **options)
test_loader = torch.utils.data.DataLoader(test_set, **options)

num_classes = len(train_set.classes)
layers: list[nn.Module] = []
c_in = 3
for level in range(max(1, math.ceil(math.log2(arguments.size)) - 1)):
    width = 32 * 2 ** min(level, 4)
    pool = nn.MaxPool2d(2, ceil_mode=True)
    if is_regularized:
        layers += [nn.Conv2d(c_in, width, 3, padding=1, bias=False), pool, nn.BatchNorm2d(width), nn.ReLU()]
    else:
        layers += [nn.Conv2d(c_in, width, 3, padding=1), nn.ReLU(), pool]
    c_in = width
layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
layers += [nn.Dropout(0.3)] if is_regularized else []
model = nn.Sequential(*layers, nn.Linear(c_in, num_classes))
loss_fn = nn.CrossEntropyLoss(label_smoothing=0.1 if is_regularized else 0.0)
lr, weight_decay = (0.01, 0.05) if is_regularized else (1e-3, 0.0)
optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=weight_decay)
num_steps = max(5, arguments.epochs * len(train_loader))  # with 4 the schedule divides by zero
scheduler = torch.optim.lr_scheduler.OneCycleLR(
    optimizer, lr, total_steps=num_steps, pct_start=0.25, cycle_momentum=False
)


def train_epoch() -> None:
    """Pass once over the training images."""
    model.train()
    for images, labels in train_loader:
        loss = loss_fn(model(images), labels)
        loss.backward()
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()


@torch.no_grad()
def confusion(loader: torch.utils.data.DataLoader) -> torch.Tensor:
    """Return the counts (K, K): rows are true classes, columns predicted ones."""
    model.eval()
    places = [labels * num_classes + model(images).argmax(1) for images, labels in loader]
    return torch.bincount(torch.cat(places), minlength=num_classes**2).reshape(num_classes, num_classes)


def accuracy(counts: torch.Tensor) -> float:
    """Return the share on the diagonal."""
    return (counts.trace() / counts.sum()).item()


def main() -> None:
    """Train, keep the best epoch, and print its scores."""
    best = -1.0
    with TemporaryDirectory() as folder:
        path = Path(folder) / "best.pt"
        for _ in range(arguments.epochs):
            train_epoch()
            found = accuracy(confusion(val_loader))
            if found > best:
                best = found
                torch.save(model.state_dict(), path)
        model.load_state_dict(torch.load(path, weights_only=True))
    counts = confusion(test_loader)
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    scores = {"val_accuracy": best, "test_accuracy": accuracy(counts), "confusion": counts.tolist()}
    print(json.dumps({"torch": torch.__version__, "parameters": num_parameters, **scores}))


if __name__ == "__main__":
    main()
