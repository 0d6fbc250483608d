from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms.v2 import functional

from bench.datasets._decode import Unreadable, decode, measure, scaled_size
from bench.errors import UserError


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 400))
def test_size_is_bounded_and_keeps_the_shape(height: int, width: int, short_side: int) -> None:
    target = scaled_size(height, width, short_side)
    assert min(target) == min(short_side, height, width)
    assert max(target) <= math.ceil(min(target) * 4 / 3)
    assert (target[0] <= target[1]) == (height <= width) or target[0] == target[1]
    assert scaled_size(width, height, short_side) == target[::-1]


def test_scaling_agrees_with_torchvision(tmp_path: Path) -> None:
    pixels = np.asarray(Image.fromarray(noise(20, 24)).resize((240, 200), Image.Resampling.BICUBIC))
    Image.fromarray(pixels).save(tmp_path / "a.png")
    expected = functional.resize(torch.from_numpy(pixels.copy()).permute(2, 0, 1), [100, 120], antialias=True)
    difference = decode(tmp_path / "a.png", 100).astype(int) - expected.numpy().astype(int)
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("shape", [(30, 91), (91, 30)])
def test_a_picture_of_the_right_shorter_side_is_cropped_without_interpolation(
    tmp_path: Path, shape: tuple[int, int]
) -> None:
    pixels = noise(*shape)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    got = decode(tmp_path / "a.png", 30)
    expected = pixels[:, 25:65] if shape[0] == 30 else pixels[25:65]
    np.testing.assert_array_equal(got, expected.transpose(2, 0, 1))


def test_small_pictures_are_not_enlarged(tmp_path: Path) -> None:
    pixels = noise(7, 8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(decode(tmp_path / "a.png", 160), pixels.transpose(2, 0, 1))


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(noise(2, 3).repeat(16, 0).repeat(16, 1)).save(path, exif=exif, quality=95)
    height, width = (48, 32) if orientation >= 5 else (32, 48)
    assert measure(path, 160) == decode(path, 160).shape[1:] == scaled_size(height, width, 160)
    with Image.open(path) as image:
        plain = np.asarray(image.convert("RGB"))
    turned = {
        1: plain,
        2: plain[:, ::-1],
        3: plain[::-1, ::-1],
        4: plain[::-1],
        5: plain.transpose(1, 0, 2),
        6: plain[::-1].transpose(1, 0, 2),
        7: plain[::-1, ::-1].transpose(1, 0, 2),
        8: plain[:, ::-1].transpose(1, 0, 2),
    }[orientation]
    long = scaled_size(height, width, 160)
    top, left = (height - long[0]) // 2, (width - long[1]) // 2
    expected = turned[top : top + long[0], left : left + long[1]].transpose(2, 0, 1)
    np.testing.assert_array_equal(decode(path, 160), expected)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "RGBA", "CMYK", "I;16"])
def test_every_common_pixel_format_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    if mode == "I;16":
        Image.fromarray(np.full((8, 8), 200 * 256 + 17, dtype=np.uint16)).save(path)
        assert (decode(path, 8) == 200).all()
    else:
        Image.new("RGB", (8, 8), "white").convert(mode).save(path)
        assert (decode(path, 8) == 255).all()


def test_pixels_without_a_range_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((8, 8), dtype=np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(Unreadable, match="no defined range"):
        decode(tmp_path / "a.tif", 8)


def smooth_jpeg(path: Path, **options: object) -> bytes:
    Image.fromarray(noise(6, 8)).resize((160, 120)).save(path, quality=90, **options)
    return path.read_bytes()


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("filling", [b"", b"\0"])
def test_truncated_jpeg_is_refused(tmp_path: Path, progressive: bool, share: float, filling: bytes) -> None:
    path = tmp_path / "a.jpg"
    content = smooth_jpeg(path, progressive=progressive)
    assert decode(path, 120).shape == (3, 120, 160)
    kept = int(share * len(content))
    path.write_bytes(content[:kept] + filling * (len(content) - kept))
    with pytest.raises(Unreadable):
        decode(path, 120)


def test_bytes_behind_a_whole_jpeg_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(smooth_jpeg(path) + b"\0" * 50)
    assert decode(path, 120).shape == (3, 120, 160)


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\xff\xd8\xff\xe0" + b"\0" * 50])
def test_what_is_no_picture_is_refused_by_both(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    for read in (measure, decode):
        with pytest.raises(Unreadable):
            read(path, 8)


def test_damaged_png_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(noise(40, 40)).save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(Unreadable):
        decode(path, 40)


def test_a_failing_file_system_is_not_taken_for_a_damaged_picture(tmp_path: Path) -> None:
    for read in (measure, decode):
        with pytest.raises(UserError, match="cannot be read"):
            read(tmp_path / "missing.jpg", 8)
