"""Drawing and applying: repeatable, sliceable, within range, and what torchvision's transforms would have made."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode
from torchvision.transforms import functional as reference

from bench.augment import chunks, crop, pipeline
from bench.augment.pipeline import Augmentation, apply, apply_to_batch, centre_crop, draw
from bench.config.check import build
from bench.errors import UserError

ZERO, ONE = torch.zeros(3), torch.ones(3)
EVERYTHING = Augmentation(jitter=0.7, grayscale=0.3, blur=[0.5, 0.5], solarize=[0.5, 0.5])
NOTHING = Augmentation(flip=0, jitter=0, grayscale=0, blur=[0, 0], solarize=[0, 0])

augmentations = st.builds(
    Augmentation,
    minimum_scale=st.floats(0.01, 1),
    flip=st.floats(0, 1),
    jitter=st.floats(0, 1),
    brightness=st.floats(0, 2),
    contrast=st.floats(0, 2),
    saturation=st.floats(0, 2),
    hue=st.floats(0, 0.5),
    grayscale=st.floats(0, 1),
    blur=st.lists(st.floats(0, 1), min_size=2, max_size=2),
    solarize=st.lists(st.floats(0, 1), min_size=2, max_size=2),
    local_views=st.integers(0, 3),
    local_scale=st.lists(st.floats(0.01, 1), min_size=2, max_size=2).map(sorted),
)


def batch(count=12, side=40, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, side, side), generator=generator, dtype=torch.uint8)
    return images, torch.randint(8, side + 1, (count, 2), generator=generator)


def equal(first, second):
    same_names = list(first.operations) == list(second.operations)
    same_values = all(torch.equal(first.operations[name], second.operations[name]) for name in first.operations)
    return (
        same_names and same_values and torch.equal(first.boxes, second.boxes) and torch.equal(first.flips, second.flips)
    )


@given(augmentation=augmentations, view=st.integers(0, 4), seed=st.integers(0, 2**63 - 1))
def test_one_seed_draws_one_set_of_parameters_within_their_ranges(augmentation, view, seed):
    _, sizes = batch(50)
    drawn = draw(augmentation, view, sizes, seed)
    assert equal(drawn, draw(augmentation, view, sizes, seed))
    for name, low, high in (
        ("brightness", max(0.0, 1 - augmentation.brightness), 1 + augmentation.brightness),
        ("contrast", max(0.0, 1 - augmentation.contrast), 1 + augmentation.contrast),
        ("saturation", max(0.0, 1 - augmentation.saturation), 1 + augmentation.saturation),
        ("hue", -augmentation.hue, augmentation.hue),
        ("grayscale", 0, 1),
        ("blur", 0, 2),
    ):
        if name in drawn.operations:
            values = drawn.operations[name]
            assert torch.all((values >= low - 1e-6) & (values <= high + 1e-6)), name


def test_seeds_differ_and_orders_of_the_jitter_vary():
    _, sizes = batch(50)
    draws = [draw(EVERYTHING, 0, sizes, seed) for seed in range(60)]
    assert not any(equal(draws[0], other) for other in draws[1:])
    orders = {tuple(drawn.operations)[:4] for drawn in draws}
    assert len(orders) > 15  # of 24
    assert all(tuple(drawn.operations)[4:] == ("grayscale", "blur", "solarize") for drawn in draws)


def test_shares_of_the_samples_are_the_probabilities():
    sizes = torch.tensor([[32, 32]] * 20000)
    drawn = draw(Augmentation(blur=[0.0, 0.1]), 1, sizes, 3)
    shares = {
        "flip": (drawn.flips, 0.5),
        "jitter": (drawn.operations["hue"] != 0, 0.8),
        "grayscale": (drawn.operations["grayscale"] == 1, 0.2),
        "blur": (drawn.operations["blur"] > 0, 0.1),
        "solarize": (drawn.operations["solarize"] <= 1, 0.2),
    }
    for name, (chosen, probability) in shares.items():
        assert abs(chosen.float().mean().item() - probability) < 0.015, name  # four standard errors


def test_the_same_samples_are_jittered_by_all_four_operations():
    drawn = draw(Augmentation(jitter=0.5), 0, torch.tensor([[32, 32]] * 200), 4).operations
    jittered = drawn["hue"] != 0
    assert all(torch.equal(drawn[name] != 1, jittered) for name in ("brightness", "contrast", "saturation"))


def test_an_operation_that_no_sample_can_get_is_not_run():
    _, sizes = batch()
    assert not draw(NOTHING, 0, sizes, 1).operations
    assert "solarize" not in draw(Augmentation(), 0, sizes, 1).operations
    assert "solarize" in draw(Augmentation(), 1, sizes, 1).operations
    assert "hue" not in draw(Augmentation(hue=0.0), 1, sizes, 1).operations


def test_switching_one_operation_off_leaves_the_others_draws():
    _, sizes = batch()
    full, reduced = (draw(augmentation, 0, sizes, 7) for augmentation in (EVERYTHING, Augmentation(jitter=0.7)))
    assert torch.equal(full.boxes, reduced.boxes)
    assert torch.equal(full.operations["contrast"], reduced.operations["contrast"])


def test_local_views_show_small_parts_under_the_settings_of_the_large_views_by_turns():
    sizes = torch.tensor([[200, 200]] * 4000)
    augmentation = Augmentation(local_views=3, blur=[1.0, 0.0], solarize=[0.0, 1.0], local_scale=[0.2, 0.3])
    assert augmentation.views == 5
    for view, operation in [(2, "blur"), (3, "solarize"), (4, "blur")]:
        drawn = draw(augmentation, view, sizes, view)
        area = drawn.boxes[:, 2:].prod(1) / 200**2
        assert area.min() > 0.195
        assert area.max() < 0.305
        assert abs(area.mean() - 0.25) < 0.002
        assert {"blur", "solarize"} & set(drawn.operations) == {operation}


def test_local_views_leave_the_large_ones_as_they_were():
    _, sizes = batch()
    plain, local = EVERYTHING, dataclasses.replace(EVERYTHING, local_views=4, local_size=8, local_scale=[0.2, 0.4])
    for view in (0, 1):
        assert equal(draw(plain, view, sizes, 5), draw(local, view, sizes, 5))
        assert plain.side(view, 64) == local.side(view, 64) == 64


def test_side_of_a_local_view():
    assert [Augmentation().side(2, image_size) for image_size in (224, 128, 32, 16, 8)] == [96, 55, 14, 8, 8]
    assert Augmentation(local_size=40).side(3, 224) == 40


@pytest.mark.parametrize("apply", [apply, apply_to_batch])
@settings(deadline=None, max_examples=40)
@given(augmentation=augmentations, seed=st.integers(0, 2**63 - 1), cut=st.integers(1, 11), size=st.integers(8, 40))
def test_slices_equal_the_whole_and_values_lie_between_0_and_1(apply, augmentation, seed, cut, size):
    images, sizes = batch(seed=seed % 2**32)
    drawn = draw(augmentation, 1, sizes, seed)
    whole = apply(images, drawn, size, ZERO, ONE)
    parts = [apply(images[part], drawn[part], size, ZERO, ONE) for part in (slice(0, cut), slice(cut, None))]
    assert whole.shape == (12, 3, size, size)
    assert whole.dtype == torch.float32
    assert whole.min() >= 0
    assert whole.max() <= 1
    # A rounding error beside the threshold of solarisation turns a pixel over
    differing = (whole - torch.cat(parts)).abs() > 1e-5
    assert differing.float().mean() < 1e-3


def test_chunks_do_not_change_a_view(monkeypatch):
    images, sizes = batch(16, 32)
    drawn = draw(Augmentation(blur=[1.0, 1.0]), 0, sizes, 9)
    whole = apply_to_batch(images, drawn, 32, ZERO, ONE)
    monkeypatch.setattr(chunks, "NUMBERS", 3 * 3 * 32 * 32)
    assert len(list(chunks.chunks(images, numbers=3 * 32 * 32))) == 6
    torch.testing.assert_close(apply_to_batch(images, drawn, 32, ZERO, ONE), whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize("apply", [apply, apply_to_batch])
def test_views_are_what_torchvision_makes_of_the_same_parameters(apply):
    images, sizes = batch(16)
    drawn = draw(Augmentation(jitter=1.0, grayscale=0.5, blur=[0.5, 0.5], solarize=[0.0, 0.0]), 0, sizes, 11)
    mean, std = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.25, 0.3])
    views = apply(images, drawn, 24, mean, std)
    for i, (image, box, flip) in enumerate(zip(images, drawn.boxes.tolist(), drawn.flips.tolist(), strict=True)):
        expected = reference.resized_crop(image / 255, *box, [24, 24], antialias=True)
        expected = reference.hflip(expected) if flip else expected
        for name, values in drawn.operations.items():
            value = values[i].item()
            if name == "grayscale":
                expected = reference.rgb_to_grayscale(expected, 3) if value else expected
            elif name == "blur":
                expected = reference.gaussian_blur(expected, 3, value) if value else expected
            else:
                expected = getattr(reference, f"adjust_{name}")(expected, value)
        expected = reference.normalize(expected, mean.tolist(), std.tolist())
        torch.testing.assert_close(views[i], expected, rtol=0, atol=2e-4)


@pytest.mark.parametrize("apply", [apply, apply_to_batch])
def test_autocast_outside_does_not_lower_the_precision(apply):
    images, sizes = batch()
    drawn = draw(EVERYTHING, 0, sizes, 2)
    plain = apply(images, drawn, 24, ZERO, ONE)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(apply(images, drawn, 24, ZERO, ONE), plain)


def test_nothing_depends_on_values_that_only_the_device_knows():
    """A fake tensor has no values: .item(), boolean indexing and nonzero raise on it."""
    with FakeTensorMode():
        images, sizes = torch.empty(4, 3, 40, 40, dtype=torch.uint8), torch.full((4, 2), 40)
        with pytest.raises(DynamicOutputShapeException):
            images[images > 3]
        with pytest.raises(DataDependentOutputException):
            sizes.max().item()
        drawn = draw(EVERYTHING, 0, sizes, 5)
        assert apply_to_batch(images, drawn, 24, torch.zeros(3), torch.ones(3)).shape == (4, 3, 24, 24)
        assert crop.central_boxes(sizes).shape == (4, 4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_makes_the_same_views_without_waiting():
    images, sizes = batch()
    drawn = draw(EVERYTHING, 0, sizes, 5)
    on_cpu = apply_to_batch(images, drawn, 24, ZERO, ONE)
    images, sizes, zero, one = (tensor.cuda() for tensor in (images, sizes, ZERO, ONE))
    moved = pipeline.Parameters(
        drawn.boxes.cuda(), drawn.flips.cuda(), {name: values.cuda() for name, values in drawn.operations.items()}
    )
    apply(images, moved, 24, zero, one)  # libraries load on first use
    torch.cuda.set_sync_debug_mode("error")
    try:
        draw(EVERYTHING, 0, sizes, 5)
        on_gpu = apply(images, moved, 24, zero, one)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert ((on_gpu.cpu() - on_cpu).abs() > 1e-5).float().mean() < 1e-3


def test_centre_crop_is_nearly_torchvisions_resize_and_centre_crop():
    smooth = torch.nn.functional.interpolate(torch.rand(1, 3, 5, 5), (160, 213), mode="bicubic").clamp(0, 1)
    images = (smooth * 255).byte()
    view = centre_crop(images, torch.tensor([[160, 213]]), 64, ZERO, ONE)[0]
    expected = reference.center_crop(reference.resize(images[0] / 255, [64], antialias=True), [64, 64])
    assert (view - expected).abs().mean() < 0.01


def test_centre_crop_of_a_square_picture_is_resizing():
    images, _ = batch(3)
    views = centre_crop(images, torch.tensor([[40, 40]] * 3), 24, ZERO, ONE)
    torch.testing.assert_close(views, reference.resize(images / 255, [24, 24], antialias=True), rtol=0, atol=2e-5)


def test_configuration_round_trip_through_omegaconf():
    config = OmegaConf.merge(OmegaConf.structured(Augmentation), OmegaConf.from_dotlist(["blur=[1.0,0.1]", "flip=0"]))
    assert OmegaConf.to_object(config) == Augmentation(blur=[1.0, 0.1], flip=0.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("minimum_scale", 0.0),
        ("minimum_scale", 1.1),
        ("flip", -0.1),
        ("jitter", 1.5),
        ("brightness", -1.0),
        ("contrast", -1.0),
        ("saturation", -1.0),
        ("hue", 0.6),
        ("grayscale", float("nan")),
        ("blur", [0.0, 2.0]),
        ("blur", [0.5]),
        ("solarize", [0.0, 0.1, 0.2]),
        ("local_views", -1),
        ("local_size", 7),
        ("local_scale", [0.0, 0.5]),
        ("local_scale", [0.05]),
        ("local_scale", [0.5, 0.2]),
    ],
)
def test_value_out_of_range_is_one_line_naming_the_field(name, value):
    with pytest.raises(UserError, match=rf"^augment\.{name}\b[^\n]*$"):
        build(Augmentation, dataclasses.asdict(Augmentation()) | {name: value}, "augment")
