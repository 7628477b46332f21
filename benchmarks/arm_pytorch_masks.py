"""The plain PyTorch loop for masks: a Dataset of image and mask files, torchvision v2, a DataLoader, float32."""

import argparse
import time

import torch
from arms import serve
from loader_masks import peer_loader
from torch import nn

from striate.data import open_dataset
from striate.model.build import build
from striate.model.zoo import blueprint

parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("--size", type=int, default=128)
parser.add_argument("--batch", type=int, default=8)
parser.add_argument("--depth", type=int, default=4)
parser.add_argument("--threads", type=int, default=2)
arguments = parser.parse_args()
torch.set_num_threads(arguments.threads)
torch.manual_seed(0)

dataset = open_dataset(arguments.data, task="segment")
values = torch.full((256,), 255)  # of the files, which the classes stand for
for label, value in enumerate((1, 2, 3)):
    values[value] = label
train = dataset.splits["train"]
loader = peer_loader(dataset, arguments, "pil", train)
plan = blueprint("unet", depth=arguments.depth)
model: nn.Module = build(plan, channels=3, outputs=3, size_hw=(arguments.size, arguments.size))
loss_fn = nn.CrossEntropyLoss(ignore_index=255)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)


def epoch(word: str) -> dict[str, float]:
    """Train one epoch."""
    begin = time.perf_counter()
    model.train()
    total, images_seen = 0.0, 0
    for images, masks in loader:
        loss = loss_fn(model(images), values[masks.long()])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        total += loss.item() * len(images)
        images_seen += len(images)
    return {"time_s": time.perf_counter() - begin, "images": images_seen, "loss": total / images_seen}


if __name__ == "__main__":
    serve({"torch": torch.__version__, "parameters": sum(one.numel() for one in model.parameters())}, epoch)
