"""Colour, blur and solarisation against torchvision's functions, one parameter per sample."""

import pytest
import torch
import torchvision.transforms.functional as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.augment import blur, color, compiled
from bench.augment.solarize import solarize

COLOURS = {
    "brightness": (color.adjust_brightness, reference.adjust_brightness, (0.0, 2.0)),
    "contrast": (color.adjust_contrast, reference.adjust_contrast, (0.0, 2.0)),
    "saturation": (color.adjust_saturation, reference.adjust_saturation, (0.0, 2.0)),
    "hue": (color.adjust_hue, reference.adjust_hue, (-0.5, 0.5)),
    "blur": (
        blur.gaussian_blur,
        lambda x, sigma: reference.gaussian_blur(x, blur.kernel_size(x.shape[-1]), sigma),
        (0.1, 2.0),
    ),
    "solarize": (solarize, reference.solarize, (0.0, 1.0)),
}
IDENTITIES = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0, "blur": 0.0, "solarize": 2.0}


def images(seed, size=24, batch=8):
    """Half smooth pictures, half noise; greys, black, white and equal channels among them."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(batch, 3, size, size, generator=generator)
    coarse = torch.rand(batch, 3, 3, 3, generator=generator) * 1.6 - 0.3
    smooth = torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1)
    mixed = torch.where(torch.arange(batch)[:, None, None, None] % 2 == 0, smooth, noise)
    mixed[0, :, :4] = mixed[0, :1, :4]
    mixed[1, :, :2], mixed[1, :, 2:4] = 0, 1
    mixed[2, 0, :4], mixed[2, 1, 4:8], mixed[2, 2, 8:12] = mixed[2, 1, :4], mixed[2, 2, 4:8], mixed[2, 0, 8:12]
    return (mixed * 255).round() / 255  # values of real pictures: ties between channels happen


def of_compiled(name):
    """The operation as functions like those of COLOURS, of pictures that lie whole and unscaled in their canvases."""

    def operation(pictures, values):
        batch, _, size, _ = pictures.shape
        canvases, boxes = (pictures * 255).round().byte(), torch.tensor([[0, 0, size, size]] * batch)
        flips = torch.zeros(batch, dtype=torch.bool)
        return compiled.views(canvases, boxes, flips, {name: values}, size, torch.zeros(3), torch.ones(3))

    return operation


@pytest.mark.parametrize("way", ["batch", "compiled"])
@pytest.mark.parametrize("name", COLOURS)
@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32))
def test_operation_agrees_with_torchvision(name, way, seed):
    ours, theirs, (low, high) = COLOURS[name]
    ours = of_compiled(name) if way == "compiled" else ours
    pictures = images(seed)
    values = low + (high - low) * torch.rand(len(pictures), generator=torch.Generator().manual_seed(seed))
    values[0] = low
    values[1] = high
    expected = [theirs(picture, value.item()) for picture, value in zip(pictures, values, strict=True)]
    torch.testing.assert_close(ours(pictures, values), torch.stack(expected), rtol=0, atol=5e-6)


@pytest.mark.parametrize("way", ["batch", "compiled"])
@pytest.mark.parametrize("name", COLOURS)
def test_identity_parameter_leaves_pictures_alone(name, way):
    operation = of_compiled(name) if way == "compiled" else COLOURS[name][0]
    pictures = images(3)
    torch.testing.assert_close(operation(pictures, torch.full((8,), IDENTITIES[name])), pictures, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", COLOURS)
def test_a_sample_does_not_depend_on_its_batch(name):
    operation, _, (low, high) = COLOURS[name]
    pictures, values = images(4), torch.linspace(low, high, 8)
    alone = torch.cat([operation(pictures[i : i + 1], values[i : i + 1]) for i in range(8)])
    torch.testing.assert_close(operation(pictures, values), alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("operation", "tolerance"), [(color.to_grayscale, 0), (of_compiled("grayscale"), 1e-7)], ids=["batch", "compiled"]
)
def test_greyscale_is_torchvisions_where_chosen_and_the_picture_elsewhere(operation, tolerance):
    pictures = images(5)
    chosen = torch.tensor([1.0, 0.0] * 4)
    ours = operation(pictures, chosen)
    torch.testing.assert_close(ours[1::2], pictures[1::2], rtol=0, atol=tolerance)
    expected = reference.rgb_to_grayscale(pictures[::2], num_output_channels=3)
    torch.testing.assert_close(ours[::2], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("operation", [solarize, of_compiled("solarize")])
def test_a_value_equal_to_the_threshold_is_inverted(operation):
    pictures = torch.full((1, 3, 2, 2), 51 / 255)
    torch.testing.assert_close(operation(pictures, pictures[:, 0, 0, 0]), 1 - pictures)


@pytest.mark.parametrize(("size", "taps"), [(8, 3), (32, 3), (64, 7), (96, 9), (224, 23)])
def test_blur_kernel_is_an_odd_tenth_of_the_side(size, taps):
    assert blur.kernel_size(size) == taps
