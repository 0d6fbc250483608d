"""Points on the circle: they go where the objective says, the same way every time."""

import torch

from bench.analysis import toy
from bench.analysis.pairs import objective_of


def spherical_mean_distance(za, zb):
    return (za - zb).square().sum(1).mean()


def test_alignment_alone_brings_the_views_together_and_leaves_their_middle():
    angles, losses = toy.trajectories(spherical_mean_distance, seed=3)
    assert angles.shape == (toy.STEPS + 1, 2, toy.IMAGES)
    assert (losses.diff() <= 1e-12).all()
    assert (angles[-1, 0] - angles[-1, 1]).abs().max() < 1e-3
    assert torch.allclose(angles[-1].mean(0), angles[0].mean(0), atol=1e-9)


def test_the_first_step_is_the_declared_one():
    angles, _ = toy.trajectories(spherical_mean_distance, seed=3)
    assert torch.isclose((angles[1] - angles[0]).abs().max(), torch.tensor(toy.RATE, dtype=torch.float64))


def test_contrast_spreads_images_and_repeats():
    objective, _ = objective_of("simclr", toy.IMAGES, 2)
    angles, losses = toy.trajectories(objective, seed=0)
    assert losses[-1] < losses[0]
    ends = angles[-1].mean(0).remainder(2 * torch.pi).sort().values
    gaps = torch.cat([ends.diff(), ends[:1] + 2 * torch.pi - ends[-1:]])
    assert gaps.min() > 0.9 * 2 * torch.pi / toy.IMAGES
    assert torch.equal(toy.trajectories(objective, seed=0)[0], angles)
