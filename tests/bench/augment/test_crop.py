"""Boxes and resampling against torchvision."""

import itertools

import pytest
import torch
import torchvision.transforms.functional as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp
from torchvision.transforms import RandomResizedCrop

from bench.augment import compiled, crop

sides = st.integers(1, 70)


def compiled_crop(canvases, boxes, flips, size):
    return compiled.views(canvases, boxes, flips, {}, size, torch.zeros(3), torch.ones(3))


both_ways = pytest.mark.parametrize("resample", [crop.resample, compiled_crop])


def generator(seed):
    return torch.Generator().manual_seed(seed)


def chances(height, width, batch, scale, seed):
    """Arguments of random_boxes for a batch of pictures of one size."""
    return torch.tensor([[height, width]] * batch), scale, torch.rand(batch, crop.NUMBERS, generator=generator(seed))


def pictures(batch, height, width, seed=0):
    """Smooth pictures with edges, uint8, the kind of signal that photographs have."""
    noise = torch.rand(batch, 3, 4, 4, generator=generator(seed)) * 400 - 70
    smooth = torch.nn.functional.interpolate(noise, (height, width), mode="bicubic")
    return smooth.clamp(0, 255).byte()


def resized_crop(image, box, flip, size):
    view = reference.resized_crop(image / 255, *box.tolist(), [size, size], antialias=True)
    return reference.hflip(view) if flip else view


@given(
    height=sides,
    width=sides,
    scale=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)).map(sorted),
    seed=st.integers(0, 2**63 - 1),
)
def test_random_boxes_lie_inside_the_picture(height, width, scale, seed):
    boxes = crop.random_boxes(*chances(height, width, 20, scale, seed))
    top, left, box_height, box_width = boxes.unbind(1)
    assert boxes.shape == (20, 4)
    assert torch.all((top >= 0) & (box_height >= 1) & (top + box_height <= height))
    assert torch.all((left >= 0) & (box_width >= 1) & (left + box_width <= width))


def test_random_boxes_are_distributed_as_torchvisions():
    torch.manual_seed(0)
    shapes, scales = ((32, 32), (160, 213), (40, 150), (150, 40)), ((0.08, 1.0), (0.05, 0.14))
    for (height, width), scale in itertools.product(shapes, scales):
        picture = torch.empty(3, height, width)
        theirs = [RandomResizedCrop.get_params(picture, scale, [3 / 4, 4 / 3]) for _ in range(3000)]
        ours = crop.random_boxes(*chances(height, width, 3000, scale, 1))
        for their_values, our_values in zip(zip(*theirs, strict=True), ours.unbind(1), strict=True):
            assert ks_2samp(their_values, our_values.numpy()).pvalue > 1e-3


def test_pictures_too_elongated_for_any_try_fall_back_to_the_centre_as_in_torchvision():
    for height, width in ((10, 100), (100, 10), (11, 64)):
        expected = RandomResizedCrop.get_params(torch.empty(3, height, width), [1.0, 1.0], [3 / 4, 4 / 3])
        boxes = crop.random_boxes(*chances(height, width, 5, (1.0, 1.0), 0))
        assert boxes.tolist() == [list(expected)] * 5


@both_ways
@settings(deadline=None)
@given(
    height=sides,
    width=sides,
    size=st.integers(2, 40),
    margin=st.integers(0, 9),
    noisy=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_resampling_equals_torchvisions_resized_crop(resample, height, width, size, margin, noisy, seed):
    canvas = pictures(6, height + margin, width + margin, seed)
    if noisy:
        canvas = torch.randint(0, 256, canvas.shape, generator=generator(seed), dtype=torch.uint8)
    boxes = crop.random_boxes(*chances(height, width, 6, (0.05, 1.0), seed))
    flips = torch.rand(6, generator=generator(seed)) < 0.5
    views = resample(canvas, boxes, flips, size)
    expected = [resized_crop(*sample, size) for sample in zip(canvas, boxes, flips, strict=True)]
    torch.testing.assert_close(views, torch.stack(expected), rtol=0, atol=2e-5)


@both_ways
@settings(deadline=None)
@given(height=sides, width=sides, size=st.integers(2, 40), first=st.integers(0, 5), seed=st.integers(0, 2**32))
def test_a_view_does_not_depend_on_the_batch_around_it(resample, height, width, size, first, seed):
    """Bit for bit: processes that share a batch see what one alone would."""
    canvas = pictures(6, height, width, seed)
    boxes = crop.random_boxes(*chances(height, width, 6, (0.05, 1.0), seed))
    flips = torch.rand(6, generator=generator(seed)) < 0.5
    together = resample(canvas, boxes, flips, size)
    for part in (slice(first, first + 1), slice(0, first + 1), slice(first, 6)):
        assert torch.equal(resample(canvas[part], boxes[part], flips[part], size), together[part])


@both_ways
def test_pixels_outside_the_box_do_not_count(resample):
    box = torch.tensor([[8, 5, 20, 25]])
    canvas = pictures(1, 40, 40)
    changed = torch.full_like(canvas, 255)
    changed[:, :, 8:28, 5:30] = canvas[:, :, 8:28, 5:30]
    flips = torch.tensor([False])
    assert torch.equal(resample(canvas, box, flips, 12), resample(changed, box, flips, 12))


@both_ways
def test_whole_picture_at_its_own_size_is_unchanged(resample):
    canvas = pictures(2, 32, 32)
    boxes = torch.tensor([[0, 0, 32, 32]] * 2)
    views = resample(canvas, boxes, torch.tensor([False, True]), 32)
    expected = torch.stack([canvas[0], canvas[1].flip(-1)]) / 255
    torch.testing.assert_close(views, expected, rtol=0, atol=1e-7)


@given(height=sides, width=sides)
def test_central_boxes_are_torchvisions_centre_crop(height, width):
    side = min(height, width)
    positions = torch.arange(height * width).view(1, height, width)
    top, left, box_height, box_width = crop.central_boxes(torch.tensor([[height, width]]))[0].tolist()
    ours = positions[:, top : top + box_height, left : left + box_width]
    assert torch.equal(ours, reference.center_crop(positions, [side, side]))
