"""Scores of maps against hand-worked pictures, closed forms and chance."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bench.analysis import map_scores
from bench.analysis.heatmaps import centre_prior, uniform

SIZE = 6
maps = arrays.arrays(np.float64, (3, SIZE, SIZE), elements=st.floats(0, 100).map(lambda x: round(x, 3)))
masks = arrays.arrays(np.bool_, (3, SIZE, SIZE))


def usable(values, inside):
    assume((values.max((1, 2)) > 0.01).all())
    assume(inside.any((1, 2)).all())
    return torch.from_numpy(values), torch.from_numpy(inside)


def box(top, left, bottom, right):
    mask = torch.zeros(1, SIZE, SIZE, dtype=torch.bool)
    mask[0, top:bottom, left:right] = True
    return mask


def test_a_map_that_is_partly_inside():
    one = torch.zeros(1, SIZE, SIZE, dtype=torch.float64)
    one[0, 1, 1:4] = torch.tensor([2.0, 4.0, 2.0])
    mask = box(0, 0, 3, 3)  # holds the 2 and the 4, not the other 2
    assert map_scores.energy(one, mask).item() == pytest.approx(6 / 8)
    assert map_scores.pointing(one, mask).item() == 1.0
    # At half the maximum the map's box is the row of three: 2 pixels of 1 x 3 are common with 3 x 3.
    assert map_scores.box_overlap(one, mask).item() == pytest.approx(2 / (3 + 9 - 2))


def test_only_the_largest_region_makes_the_box_and_regions_do_not_join_across_pictures():
    two = torch.zeros(2, SIZE, SIZE, dtype=torch.float64)
    two[:, 0, 0] = 1.0  # a speck in both pictures, at the same place
    two[0, 3:5, 3:6] = 0.9
    two[1, 2:4, 2:4] = 0.8
    expected = [(3, 3, 5, 6), (2, 2, 4, 4)]
    for index, corners in enumerate(expected):
        assert map_scores.box_overlap(two[index : index + 1], box(*corners)).item() == 1.0
    both = torch.cat([box(*corners) for corners in expected])
    assert map_scores.box_overlap(two, both).tolist() == [1.0, 1.0]


def test_diagonal_neighbours_are_connected():
    one = torch.zeros(1, SIZE, SIZE, dtype=torch.float64)
    one[0, 1, 1] = one[0, 2, 2] = 1.0
    assert map_scores.box_overlap(one, box(1, 1, 3, 3)).item() == 1.0


@given(maps, masks)
def test_scores_lie_in_their_range_and_ignore_scale(values, inside):
    heat, mask = usable(values, inside)
    for score in (map_scores.energy, map_scores.pointing, map_scores.box_overlap):
        found = score(heat, mask)
        assert ((found >= 0) & (found <= 1 + 1e-12)).all()
        assert torch.allclose(score(heat * 8, mask), found)
    for score in (map_scores.gini, map_scores.entropy):
        assert torch.allclose(score(heat * 8), score(heat))
        assert torch.allclose(score(heat.flip(2).transpose(1, 2)), score(heat))


@given(maps, masks)
def test_energy_and_pointing_split_between_the_object_and_the_rest(values, inside):
    heat, mask = usable(values, inside)
    for score in (map_scores.energy, map_scores.pointing):
        assert torch.allclose(score(heat, mask) + score(heat, ~mask), torch.ones(3, dtype=torch.float64))


@given(masks)
def test_a_uniform_map_scores_the_share_of_the_area(inside):
    assume(inside.any((1, 2)).all())
    mask = torch.from_numpy(inside)
    even, area = uniform(3, SIZE, mask.device), mask.double().mean((1, 2))
    assert torch.allclose(map_scores.energy(even, mask), area)
    assert torch.allclose(map_scores.pointing(even, mask), area)
    boxes = map_scores.tight_boxes(mask)
    box_area = (boxes[:, 2:] - boxes[:, :2]).prod(1) / SIZE**2
    assert torch.allclose(map_scores.box_overlap(even, mask), box_area.double())


@given(masks)
def test_tight_boxes_are_those_of_numpy(inside):
    assume(inside.any((1, 2)).all())
    for mask, found in zip(inside, map_scores.tight_boxes(torch.from_numpy(inside)).tolist(), strict=True):
        lines, columns = np.nonzero(mask)
        assert found == [lines.min(), columns.min(), lines.max() + 1, columns.max() + 1]


@given(maps)
def test_gini_is_half_the_relative_mean_difference(values):
    assume((values.max((1, 2)) > 0.01).all())
    for one, found in zip(values, map_scores.gini(torch.from_numpy(values)).tolist(), strict=True):
        flat = one.ravel()
        assert found == pytest.approx(np.abs(flat[:, None] - flat).mean() / (2 * flat.mean()), abs=1e-9)


def test_concentration_at_its_ends():
    even, single = uniform(1, SIZE, torch.device("cpu")), torch.zeros(1, SIZE, SIZE, dtype=torch.float64)
    single[0, 2, 3] = 5.0
    assert map_scores.gini(even).item() == pytest.approx(0.0, abs=1e-12)
    assert map_scores.gini(single).item() == pytest.approx(1 - 1 / SIZE**2)
    assert map_scores.entropy(even).item() == pytest.approx(1.0)
    assert map_scores.entropy(single).item() == pytest.approx(0.0)
    halves = even.clone()
    halves[0, :3] = 0
    assert map_scores.entropy(halves).item() == pytest.approx(math.log(18) / math.log(36))


def test_the_centre_prior_points_at_the_centre():
    prior = centre_prior(1, 7, torch.device("cpu"))[0]
    assert prior.argmax().item() == 24
    assert torch.allclose(prior, prior.T)
    assert torch.allclose(prior, prior.flip(0))
