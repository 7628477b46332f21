"""Training of Faster R-CNN as in torchvision's reference scripts: a JSON line an epoch.

A Dataset of files, a DataLoader, float32, SGD with warm-up, the model's own resizing and normalisation. The network is
that of `striate --model faster_rcnn`: MobileNetV2's maps of stride 8, 16 and 32, a pyramid of 64 channels, 100 regions,
two layers of 256 units.
"""

import argparse
import json
import math
import time

import torch
from PIL import Image

from striate.base.torchvision import load  # so that it imports beside a CPU build of torch too
from striate.data import open_dataset
from striate.nn.boxes import provide

parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("--size", default="240x320")
parser.add_argument("--batch", type=int, default=8)
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--workers", type=int, default=0)
parser.add_argument("--limit", type=int, default=0)
arguments = parser.parse_args()
torch.set_num_threads(arguments.threads)
torch.manual_seed(0)
provided = provide()
v2, models = load("torchvision.transforms.v2"), load("torchvision.models")
detection, rpn = load("torchvision.models.detection"), load("torchvision.models.detection.rpn")
utils, ops = load("torchvision.models.detection.backbone_utils"), load("torchvision.ops")
data = open_dataset(arguments.data, task="detect")
target = data.target("box")


class Files(torch.utils.data.Dataset):
    """Images and their boxes, mirrored by chance."""

    def __init__(self) -> None:
        self.indices = data.splits["train"][: arguments.limit or None]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        index = int(self.indices[row])
        image = v2.functional.to_image(Image.open(data.images.path(index)).convert("RGB"))
        part = slice(int(target.starts[index]), int(target.starts[index + 1]))
        boxes, labels = torch.from_numpy(target.xyxy[part]), torch.from_numpy(target.labels[part]) + 1
        if torch.rand(()) < 0.5:
            image, wide = image.flip(2), image.shape[2]
            boxes = torch.stack([wide - boxes[:, 2], boxes[:, 1], wide - boxes[:, 0], boxes[:, 3]], 1)
        return image.float() / 255, {"boxes": boxes, "labels": labels}


def network() -> torch.nn.Module:
    """Return Faster R-CNN with the sizes of ours."""
    body = models.mobilenet_v2(weights=None).features
    layers = {"6": "0", "13": "1", "18": "2"}
    backbone = utils.BackboneWithFPN(body, layers, [32, 96, 1280], 64, ops.feature_pyramid_network.LastLevelMaxPool())
    anchors = rpn.AnchorGenerator(((32,), (64,), (128,), (256,)), ((0.5, 1.0, 2.0),) * 4)
    head = detection.faster_rcnn.TwoMLPHead(64 * 7 * 7, 256)
    high, wide = map(int, arguments.size.split("x"))
    pool = ops.MultiScaleRoIAlign(["0", "1", "2", "pool"], 7, 2)
    return detection.FasterRCNN(
        backbone, rpn_anchor_generator=anchors, box_head=head, box_roi_pool=pool, min_size=min(high, wide),
        max_size=max(high, wide), rpn_post_nms_top_n_train=100, rpn_post_nms_top_n_test=100,
        box_predictor=detection.faster_rcnn.FastRCNNPredictor(256, len(target.names) + 1),
    )  # fmt: skip


model, files = network().train(), Files()
loader = torch.utils.data.DataLoader(
    files, batch_size=arguments.batch, shuffle=True, num_workers=arguments.workers,
    collate_fn=lambda rows: tuple(zip(*rows, strict=True)),
)  # fmt: skip
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
warm = torch.optim.lr_scheduler.LinearLR(optimizer, 1e-3, total_iters=len(loader))
parameters = sum(one.numel() for one in model.parameters())
print(json.dumps({"torch": torch.__version__, "operators": "ours" if provided else "torchvision's",
                  "parameters": parameters}), flush=True)  # fmt: skip
for _ in range(arguments.epochs):
    begin_s, total = time.perf_counter(), 0.0
    for images, targets in loader:
        losses = sum(model(list(images), list(targets)).values())
        if not math.isfinite(losses.item()):
            raise SystemExit("the loss is not finite")
        optimizer.zero_grad()
        losses.backward()
        optimizer.step()
        warm.step()
        total += losses.item() * len(images)
    time_s = time.perf_counter() - begin_s
    print(json.dumps({"images_per_s": round(len(files) / time_s, 2), "loss": round(total / len(files), 4)}), flush=True)
