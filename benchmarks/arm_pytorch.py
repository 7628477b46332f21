"""The plain PyTorch loop of its tutorials: ImageFolder, DataLoader, float32, default layout."""

import argparse
import time

import torch
from arms import serve
from torch import nn

from striate.base.torchvision import load  # so that it imports beside a CPU build of torch too

parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("--size", type=int, default=64)
parser.add_argument("--batch", type=int, default=64)
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--workers", type=int, default=2)
arguments = parser.parse_args()
torch.set_num_threads(arguments.threads)
torch.manual_seed(0)
v2, datasets = load("torchvision.transforms.v2"), load("torchvision.datasets")

normalise = [v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
fit = [v2.ToImage(), v2.Resize(arguments.size), v2.CenterCrop(arguments.size)]
moves = [v2.RandomHorizontalFlip(), v2.RandomAffine(degrees=18, scale=(0.8, 1.2))]
train_set = datasets.ImageFolder(f"{arguments.data}/train", v2.Compose([*fit, *moves, *normalise]))
val_set = datasets.ImageFolder(f"{arguments.data}/val", v2.Compose([*fit, *normalise]))
options = {"batch_size": arguments.batch, "num_workers": arguments.workers, "persistent_workers": True}
train_loader = torch.utils.data.DataLoader(train_set, shuffle=True, **options)
val_loader = torch.utils.data.DataLoader(val_set, **options)

layers: list[nn.Module] = []
for c_in, c_out in ((3, 32), (32, 64), (64, 128), (128, 256)):
    layers += [nn.Conv2d(c_in, c_out, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, len(train_set.classes)))
loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)


def epoch(word: str) -> dict[str, float]:
    """Train one epoch, or validate."""
    begin = time.perf_counter()
    if word == "validate":
        model.eval()
        right = 0
        with torch.no_grad():
            for images, labels in val_loader:
                right += (model(images).argmax(1) == labels).sum().item()
        return {"accuracy": right / len(val_set), "time_s": time.perf_counter() - begin}
    model.train()
    total, images_seen = 0.0, 0
    for images, labels in train_loader:
        loss = loss_fn(model(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        total += loss.item() * len(images)
        images_seen += len(images)
    return {"time_s": time.perf_counter() - begin, "images": images_seen, "loss": total / images_seen}


if __name__ == "__main__":
    serve({"torch": torch.__version__}, epoch)
