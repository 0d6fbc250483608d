"""Composed pictures: what lies inside the box is the object, what lies outside the background."""

import pytest
import torch

from bench.analysis.composed import SIDES, Composed, _of_other_classes
from bench.analysis.map_scores import tight_boxes
from bench.analysis.runs import by_data, finished
from bench.data import load
from bench.datasets._store import prepare
from bench.errors import UserError
from bench.plan import open_dataset

SIZE = 20


@pytest.fixture(scope="module")
def data(runs, where):
    return next(by_data(finished(runs), where))[1]


def colors(pictures, data):
    """Index of the strongest channel of every pixel: blue 2, red 0, green 1, as in the class names' sorted order."""
    return (pictures * data.std[:, None, None] + data.mean[:, None, None]).argmax(1)


def test_the_object_is_in_the_box_and_another_class_around_it(data):
    rows = torch.arange(len(data.test.labels))
    composed = Composed(data, rows, None, seed=0)
    pictures, masks = composed.batch(slice(None), SIZE)
    channel_of_class = torch.tensor([2, 1, 0])  # blue, green, red
    channels, own = colors(pictures, data), channel_of_class[composed.labels][:, None, None]
    assert ((channels == own)[masks]).all()
    assert ((channels != own)[~masks]).all()
    boxes = tight_boxes(masks)
    sides = boxes[:, 2:] - boxes[:, :2]
    assert torch.equal(sides[:, 0], sides[:, 1])
    assert set(sides.unique().tolist()) == {round(share * SIZE) for share in SIDES}
    assert torch.equal((sides[:, 0] * sides[:, 1]), masks.sum((1, 2)))
    assert boxes.min() >= 0
    assert boxes.max() <= SIZE


def test_a_part_is_a_part_of_the_whole_and_the_seed_decides(data):
    rows = torch.arange(10)
    composed = Composed(data, rows, None, seed=0)
    pictures, masks = composed.batch(slice(None), SIZE)
    part, part_masks = composed.batch(slice(4, 7), SIZE)
    assert torch.equal(part, pictures[4:7])
    assert torch.equal(part_masks, masks[4:7])
    assert not torch.equal(Composed(data, rows, None, seed=1).batch(slice(None), SIZE)[1], masks)


def test_backgrounds_of_another_dataset(data, darkness, where):
    store = prepare(open_dataset(f"folder:{darkness}"), where.data_root)
    composed = Composed(data, torch.arange(20), load(store, where.device).test, seed=0)
    pictures, masks = composed.batch(slice(None), SIZE)
    brightness = (pictures * data.std[:, None, None] + data.mean[:, None, None]).amax(1)
    assert brightness[masks].min() > 0.5
    assert brightness[~masks].max() < 0.2


def test_others_are_drawn_evenly_and_never_of_the_same_class():
    labels = torch.tensor([2, 0, 1, 1, 2, 2])
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([_of_other_classes(labels, generator) for _ in range(3000)])
    assert (labels[drawn] != labels).all()
    counts = drawn[:, 2].bincount(minlength=6)
    assert counts[[2, 3]].sum() == 0
    assert ((counts[[0, 1, 4, 5]] - 750).abs() < 120).all()


def test_one_class_alone_has_no_background(data):
    rows = (data.test.labels == 1).nonzero().squeeze(1)
    with pytest.raises(UserError, match="--background"):
        Composed(data, rows, None, seed=0)
