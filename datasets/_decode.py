"""Decodes one image file into a picture of bounded size."""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from bench.errors import UserError

LONGEST = 4 / 3
"""Longer side over shorter side after the centre crop, at most."""
SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that exchange height and width."""


class Unreadable(Exception):
    """The file's content is no whole picture; the message says why."""


def scaled_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Height and width of the decoded picture: the shorter side `short_side` (a smaller picture is not enlarged), the
    longer one in proportion and at most 4/3 of it, rounded up.
    """
    short, long = sorted((height, width))
    target_short = min(short, short_side)
    target_long = min(round(long * target_short / short), math.ceil(LONGEST * target_short))
    return (target_short, target_long) if height <= width else (target_long, target_short)


def measure(path: Path, short_side: int) -> tuple[int, int]:
    """Height and width that `decode` will return, from the file's header. Raises as `decode` does."""
    with _opened(path, path) as image:
        width, height = image.size
        if _orientation(image) in SIDEWAYS:
            height, width = width, height
        return scaled_size(height, width, short_side)


def decode(path: Path, short_side: int) -> np.ndarray:
    """The picture (3, h, w) uint8 RGB: turned upright as EXIF says, centre-cropped and scaled to `scaled_size` with
    antialiased bilinear interpolation.

    Raises Unreadable for a damaged or truncated file and for pixels without a defined range (floating point or
    32-bit integers), UserError when the file system fails. Damage that leaves a well-formed stream of pixels
    behind cannot be seen.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    with _opened(path, io.BytesIO(content)) as image:
        image.load()
        if image.format in ("JPEG", "MPO"):
            _check_end_of_image(content)
        upright = ImageOps.exif_transpose(image) if _orientation(image) != 1 else image
        return _scaled(_rgb(upright), short_side)


@contextmanager
def _opened(path: Path, source: Path | io.BytesIO) -> Iterator[Image.Image]:
    try:
        with Image.open(source) as image:
            yield image
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> Exception:
    if isinstance(error, OSError) and error.errno is not None:
        return UserError(f"{path} cannot be read: {error.strerror}.")
    if isinstance(error, UnidentifiedImageError):
        return Unreadable("not an image")
    return Unreadable(str(error) or type(error).__name__)


def _orientation(image: Image.Image) -> int:
    return int(image.getexif().get(0x0112, 1))


def _check_end_of_image(content: bytes) -> None:
    """A transfer that broke off can leave zeros at the end, which decode as grey: the end marker is missing then."""
    if content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda"):
        raise ValueError("JPEG without an end-of-image marker")


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of type {image.mode} have no defined range")
    if image.mode in ("P", "PA") and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")


def _scaled(image: Image.Image, short_side: int) -> np.ndarray:
    height, width = scaled_size(image.height, image.width, short_side)
    scale = min(image.width / width, image.height / height)
    # Whole-pixel offsets, so that a picture that keeps its size is cropped and not interpolated.
    left = math.floor(max(0.0, image.width - width * scale) / 2)
    top = math.floor(max(0.0, image.height - height * scale) / 2)
    box = (left, top, min(left + width * scale, image.width), min(top + height * scale, image.height))
    scaled = image.resize((width, height), Image.Resampling.BILINEAR, box=box)
    return np.ascontiguousarray(np.asarray(scaled).transpose(2, 0, 1))
