"""Faster R-CNN and DETR: proposals, regions, what is learnt of them, and pairs with the least costs."""

from itertools import permutations

import numpy as np
import pytest
import torch

from striate.base import torchvision as tv
from striate.data.proposals import NAME
from striate.data.sample import Batch
from striate.data.target import Ragged
from striate.nn.blocks.queries import sine_positions
from striate.nn.blocks.regions import MAX_IOU, SQUARES, GivenBoxes, Proposals, Regions
from striate.nn.boxes import DELTA_WEIGHTS, encode, giou, iou, provide
from striate.task.detect.detr import COST_CLASS, COST_GIOU, COST_SIDES, Detr, matched
from striate.task.detect.fast_rcnn import FastRcnn
from striate.task.detect.faster_rcnn import FasterRcnn
from striate.task.detect.reading import DetectOptions, Truth


def random_boxes(num, side, generator, least=2.0):
    low = torch.rand(num, 2, generator=generator) * side * 0.7
    return torch.cat([low, (low + least + torch.rand(num, 2, generator=generator) * side * 0.5).clamp(max=side)], 1)


def places_of(side=64, stride=16):
    at = (torch.arange(side // stride) + 0.5) * stride
    y, x = torch.meshgrid(at, at, indexing="ij")
    return torch.stack([x.flatten(), y.flatten(), *(torch.full((len(at) ** 2,), v) for v in (stride, side, side))])[
        None
    ]


def test_proposals_are_what_greedy_suppression_leaves_of_the_best():
    generator, places = torch.Generator().manual_seed(0), places_of().float()
    num_places = places.shape[2]
    logits = torch.randn(2, 3, num_places, generator=generator)
    deltas = torch.randn(2, 12, num_places, generator=generator) * 0.3
    given = Proposals((3, 12, 5), num=7)(logits, deltas, places.expand(2, -1, -1))
    for image in range(2):
        boxes = []
        for place in range(num_places):
            x, y, stride = places[0, :3, place].tolist()
            for anchor, (wide, high) in enumerate(SQUARES):
                dx, dy, dw, dh = deltas[image, 4 * anchor : 4 * anchor + 4, place].tolist()
                w, h = wide * stride * np.exp(dw), high * stride * np.exp(dh)
                mx, my = x + dx * wide * stride, y + dy * high * stride
                box = np.clip([mx - w / 2, my - h / 2, mx + w / 2, my + h / 2], 0, 64)
                boxes.append((1 / (1 + np.exp(-logits[image, anchor, place].item())), *box))
        kept: list[tuple] = []
        for score, *box in sorted(boxes, key=lambda row: -row[0]):
            if min(box[2] - box[0], box[3] - box[1]) < 1:
                continue
            if all(iou(torch.tensor([box]), torch.tensor([other[:4]]))[0, 0] <= MAX_IOU for other in kept):
                kept.append((*box, score))
        wanted = np.array(kept[:7])
        np.testing.assert_allclose(given[image, :, : len(wanted)].T.numpy(), wanted, atol=1e-3)
        assert (given[image, 4, len(wanted) :] == 0).all()


def test_regions_look_at_the_level_that_torchvision_chooses():
    provide()
    pooler = tv.load("torchvision.ops.poolers").MultiScaleRoIAlign(["0", "1", "2"], 7, 2)
    generator = torch.Generator().manual_seed(0)
    boxes = [random_boxes(30, 512, generator) for _ in range(2)]
    boxes[0][0] = torch.tensor([10.0, 10, 500, 500])
    maps = [torch.full((2, 4, side, side), side * 1.0) for side in (64, 32, 16)]
    wanted = pooler({str(number): one for number, one in enumerate(maps)}, boxes, [(512, 512)] * 2)
    given = torch.stack([torch.cat([one.T, torch.ones(1, 30)]) for one in boxes])
    found = Regions((4, 4, 4, 5, 3))(*maps, given, torch.zeros(2, 3, 512, 512))
    middle = found.transpose(1, 2).reshape(60, 4, 7, 7)[:, 0, 3, 3]  # at borders theirs is half a place away
    torch.testing.assert_close(middle, wanted[:, 0, 3, 3])
    assert set(wanted[:, 0, 3, 3].round().tolist()) == {64, 32, 16}


def test_a_bin_of_a_region_is_the_map_at_its_middle():
    """Of a map that rises evenly, the mean over a bin is the value in its middle, whatever the level."""
    generator = torch.Generator().manual_seed(0)
    boxes = random_boxes(20, 380, generator, 40.0) + 60
    maps = []
    for stride in (8, 16, 32):
        at = (torch.arange(512 // stride) + 0.5) * stride
        maps.append(torch.stack([at.expand(len(at), -1), at[:, None].expand(-1, len(at))])[None])
    given = torch.cat([boxes.T, torch.ones(1, 20)])[None]
    found = Regions((2, 2, 2, 5, 3), bins=5)(*maps, given, torch.zeros(1, 3, 512, 512))[0].T.reshape(20, 2, 5, 5)
    share = (torch.arange(5) + 0.5) / 5
    x, y = (boxes[:, side, None] + share * (boxes[:, side + 2] - boxes[:, side])[:, None] for side in (0, 1))
    torch.testing.assert_close(found[:, 0], x[:, None].expand(-1, 5, -1), atol=1e-2, rtol=0)
    torch.testing.assert_close(found[:, 1], y[:, :, None].expand(-1, -1, 5), atol=1e-2, rtol=0)


def truth_of(boxes, labels):
    columns = {"labels": labels, "crowd": torch.zeros(len(labels), dtype=torch.bool)}
    return Ragged(boxes, (len(boxes),), columns)


class Looks(torch.nn.Module):
    """A network that only proposes."""

    def __init__(self):
        super().__init__()
        self.proposals, self.places = Proposals((3, 12, 5), num=6), places_of().float()

    def forward(self, images):
        num = self.places.shape[2]
        return self.proposals(torch.zeros(len(images), 3, num), torch.zeros(len(images), 12, num), self.places)


def test_true_boxes_are_among_the_proposals_while_training_alone():
    reading, network = FasterRcnn(DetectOptions()), Looks()
    boxes = torch.tensor([[3.0, 4, 20, 30], [40, 40, 60, 50]])
    batch = Batch(torch.zeros(1, 3, 64, 64), {"box": truth_of(boxes, torch.tensor([0, 1]))}, np.arange(1))
    given = reading.forward(network.train(), batch)
    assert given.shape == (1, 5, 8)
    assert given[0, :, 6:].T.tolist() == [[*box, 1.0] for box in boxes.tolist()]
    assert reading.forward(network.eval(), batch).shape == (1, 5, 6)
    assert network.train()(batch.images).shape == (1, 5, 6)  # and nothing is left behind


class Given(torch.nn.Module):
    """A network that says which boxes it was given."""

    def __init__(self):
        super().__init__()
        self.boxes = GivenBoxes(3, num=4)

    def forward(self, images):
        return self.boxes(images)


def test_regions_come_with_the_batch_and_true_boxes_are_among_them_while_training_alone():
    reading, network, columns = (
        FastRcnn(DetectOptions()),
        Given(),
        {"labels": torch.tensor([0]), "crowd": torch.tensor([False])},
    )
    given, true = torch.tensor([[3.0, 4, 20, 30], [40, 40, 60, 50], [1, 2, 3, 4]]), torch.tensor([[5.0, 5, 9, 9]])
    targets = {"box": Ragged(true, (0, 1), columns), NAME: Ragged(given, (3, 0), {})}
    batch = Batch(torch.zeros(2, 3, 48, 64), targets, np.arange(2))
    whole = [0.0, 0, 64, 48, 1]
    found = reading.forward(network.eval(), batch)
    assert found[0].T.tolist() == [[*box, 1.0] for box in given.tolist()]
    assert found[1].T.tolist() == [whole, [0.0] * 5, [0.0] * 5]  # none was proposed
    found = reading.forward(network.train(), batch)
    assert found[1].T.tolist() == [whole, [*true[0].tolist(), 1.0], [0.0] * 5]
    assert network(batch.images)[0].T.tolist() == [whole, *[[0.0] * 5] * 3]  # and nothing is left behind


def test_pooling_takes_the_largest_number_of_whole_places():
    maps = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[16.0, 0, 40, 24, 1]]).T[None]  # places 2 to 5 across, 0 to 3 down: both ends are inside
    found = Regions((2, 5, 3), bins=2, pool="max")(maps, boxes, torch.zeros(1, 3, 64, 64)).view(2, 2, 2)
    wanted = torch.stack(
        [torch.stack([maps[0, :, y : y + 2, x : x + 2].amax((1, 2)) for x in (2, 4)], 1) for y in (0, 2)], 1
    )
    assert torch.equal(found, wanted)


def test_the_second_look_is_right_where_it_says_so():
    """A perfect answer has no loss of boxes, and its candidates are the truth."""
    reading, true = FasterRcnn(DetectOptions()), torch.tensor([[8.0, 8, 24, 40], [30, 20, 60, 60]])
    truth = Truth.of(truth_of(true, torch.tensor([1, 0])))
    boxes = torch.cat([true + torch.tensor([1.0, -1, 2, 1]), torch.tensor([[0.0, 50, 10, 62], [0, 0, 0, 0]])])
    proposals = torch.cat([boxes.T, torch.tensor([[1.0, 1, 1, 0]])])[None]
    logits = torch.full((1, 3, 4), -20.0)
    logits[0, [1, 0, 2, 2], range(4)] = 20
    deltas = torch.zeros(1, 4, 4)
    deltas[0, :, :2] = encode(true, boxes[:2], DELTA_WEIGHTS).T
    places = places_of().float()
    num = places.shape[2]
    outputs = [logits, deltas, places, proposals, torch.zeros(1, 3, num), torch.zeros(1, 12, num)]
    assert reading.fits(outputs, 1, 2)
    parts = reading.parts(outputs, truth)
    assert parts["class"].sums.item() == pytest.approx(0, abs=1e-4)
    assert parts["box"].sums.item() == pytest.approx(0, abs=1e-4)
    assert parts["box"].counts.tolist() == [2]
    assert parts["class"].counts.tolist() == [3]  # two that hold something, and one of the background
    found = reading.candidates(outputs)
    assert (found.scores > 0).sum() == 2
    order = found.labels[0, :2].argsort(descending=True)
    torch.testing.assert_close(found.boxes[0, :2][order], true, atol=1e-3, rtol=0)


@pytest.mark.parametrize("seed", range(5))
def test_pairs_have_the_least_costs(seed):
    generator = torch.Generator().manual_seed(seed)
    logits, true = torch.randn(1, 2, 5, 4, generator=generator), random_boxes(3, 1.0, generator, 0.05)
    given = torch.stack([random_boxes(5, 1.0, generator, 0.05) for _ in range(2)])[None]
    truth = Truth.of(truth_of(true * 64, torch.tensor([0, 2, 1])))
    found = matched(logits, given, true[None], truth)
    assert found[:2].tolist() == [[0] * 6, [0, 0, 0, 1, 1, 1]]

    def cost(layer, pairs):
        total = 0.0
        for query, row in pairs:
            a, b = given[0, layer, query].numpy(), true[row].numpy()
            form = [np.array([(x[0] + x[2]) / 2, (x[1] + x[3]) / 2, x[2] - x[0], x[3] - x[1]]) for x in (a, b)]
            total -= COST_CLASS * logits[0, layer, query].softmax(0)[truth.labels[0, row]].item()
            total += COST_SIDES * np.abs(form[0] - form[1]).sum()
            total -= COST_GIOU * giou(given[0, layer, query][None], true[row][None]).item()
        return total

    for layer in range(2):
        queries, rows = found[2:, found[1] == layer]
        mine = cost(layer, zip(queries.tolist(), rows.tolist(), strict=True))
        best = min(cost(layer, zip(some, range(3), strict=True)) for some in permutations(range(5), 3))
        assert mine == pytest.approx(best, abs=1e-4)


def test_queries_answer_by_their_last_layer_and_one_class_each():
    reading, places = Detr(DetectOptions()), places_of().float()
    logits, boxes = torch.full((1, 3, 2, 4), -9.0), torch.zeros(1, 4, 2, 4)
    logits[0, 0, 0], logits[0, 2, 1] = 9, 9  # the first layer says class 0 of all, the last one nothing
    logits[0, :, 1, 2] = torch.tensor([1.0, 2.0, -9.0])
    found = reading.candidates([logits, boxes, places])
    assert (found.scores > 0).sum() == 1 and found.labels[0, 0] == 1
    assert found.boxes[0, 0].tolist() == [16, 16, 48, 48]  # sigmoid(0) = a half of the view


def test_each_place_has_its_own_positions():
    where = sine_positions(5, 7, 16, torch.device("cpu")).flatten(1).T
    assert torch.cdist(where, where).add(torch.eye(35)).min() > 0.05
    assert where.abs().max() <= 1
