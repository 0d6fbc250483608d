"""Views by graphs are those of `draw` and `apply_to_batch`; on a real GPU see tests/bench/test_graphs.py."""

import dataclasses

import pytest
import torch

from bench.augment import pipeline
from bench.augment.pipeline import Augmentation
from bench.augment.replayed import ReplayedView

EVERYTHING = Augmentation(blur=[0.5, 0.5], solarize=[0.5, 0.2], local_views=1)
NOTHING = Augmentation(jitter=0.0, grayscale=0.0, solarize=[0.0, 0.0])
MEAN, STD = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.3, 0.4])


@pytest.mark.parametrize("augment", [EVERYTHING, dataclasses.replace(EVERYTHING, hue=0.0), NOTHING])
@pytest.mark.parametrize("view", [0, 1, 2])
def test_a_replayed_view_is_that_of_draw_and_apply_to_batch(augment, view, replays):
    pictures = torch.randint(0, 256, (20, 3, 24, 18), dtype=torch.uint8)
    sizes = torch.tensor([[24, 18], [12, 18]]).repeat(10, 1)
    make = ReplayedView(augment, view, pictures, sizes, 8, 12, MEAN, STD)
    for seed in range(6):
        rows = torch.randperm(20)[:8]
        drawn = pipeline.draw(augment, view, sizes[rows], seed)
        expected = pipeline.apply_to_batch(pictures[rows], drawn, 12, MEAN, STD)
        replays.clear()
        torch.testing.assert_close(make(rows, seed), expected, rtol=0, atol=0)
        jitters = len(drawn.operations.keys() & set(pipeline.JITTERS))
        assert len(replays) == jitters + 2
