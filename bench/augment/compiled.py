"""Views on a CPU: picture after picture, each from its crop to its last operation in the processor's cache.

The same as `pipeline.apply_to_batch`, which works on whole batches, in functions that numba compiles. In here a view is
stored [channel, column, row] (transposed), so that both passes of resampling add up contiguous rows of memory. numba
promotes float32 with a Python number to float64, hence the float32 constants.

The first import compiles, about 10 s; numba keeps the result in a cache, beside this file where that can be written.
"""

from __future__ import annotations

import hashlib
import pickle
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import llvmlite.binding
import numba
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.augment import blur, color

Array = npt.NDArray[Any]
F = TypeVar("F", bound=Callable[..., Any])

OPERATIONS = ("brightness", "contrast", "saturation", "hue", "grayscale", "blur", "solarize")
BRIGHTNESS, CONTRAST, SATURATION, HUE, GRAYSCALE, BLUR, SOLARIZE = range(7)

float32 = np.float32
ZERO, HALF, ONE, TWO, SIX = float32(0), float32(0.5), float32(1), float32(2), float32(6)
THIRD, TWO_THIRDS = float32(1 / 3), float32(2 / 3)
WHITE = float32(255)
TINY = float32(1e-12)
RED, GREEN, BLUE = (float32(weight) for weight in color.LUMA)
LEAST_SIGMA = float32(1e-2)


def views(
    images: Tensor, boxes: Tensor, flips: Tensor, operations: dict[str, Tensor], size: int, mean: Tensor, std: Tensor
) -> Tensor:
    """One view, float32 (B, 3, size, size) channels last, of uint8 canvases (B, 3, H, W); see `pipeline.Parameters`.

    As many threads as torch has share the batch. Raises ValueError where a box leaves the canvas, or shapes differ from
    these: what is compiled does not look where it reads.
    """
    batch, _, height, width = images.shape
    values = torch.stack(list(operations.values()), dim=1).float() if operations else torch.empty(batch, 0)
    shapes = [tuple(tensor.shape) for tensor in (images, boxes, flips, values, mean, std)]
    if shapes != [(batch, 3, height, width), (batch, 4), (batch,), (batch, len(operations)), (3,), (3,)]:
        raise ValueError(f"Canvases, boxes, flips, operations, mean and std have the shapes {shapes}.")
    inside = (boxes[:, :2] >= 0) & (boxes[:, 2:] > 0) & (boxes[:, :2] + boxes[:, 2:] <= torch.tensor([height, width]))
    if not inside.all():
        raise ValueError(f"A box leaves its canvas of {height} x {width} pixels.")
    result = torch.empty(batch, size, size, 3)
    codes = np.array([OPERATIONS.index(name) for name in operations], dtype=np.int64)
    radius = blur.kernel_size(size) // 2
    normalisation = _array(mean), _array(std)
    samples = [_array(tensor) for tensor in (images, boxes, flips, values, result)]

    def make(start: int, stop: int) -> None:
        canvases, own_boxes, own_flips, own_values, own_result = (array[start:stop] for array in samples)
        _views(canvases, own_boxes, own_flips, codes, own_values, radius, *normalisation, own_result)

    threads = torch.get_num_threads()
    if threads == 1:
        make(0, batch)
    else:
        bounds = [batch * thread // threads for thread in range(threads + 1)]
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(make, bounds[:-1], bounds[1:]))
    return result.permute(0, 3, 1, 2)


def _array(tensor: Tensor) -> Array:
    return tensor.contiguous().numpy()


def _compiled(function: F) -> F:
    return numba.njit(function, error_model="numpy")


@_compiled
def _taps(length: int, firsts: Array, counts: Array, weights: Array) -> None:
    """Weights (S, K) of the triangle filter that scales `length` pixels to S, and the first and number of them (S,).

    As `crop.filter_taps`: widened by the scale when shrinking, cut to the segment, normalised.
    """
    scale = float32(length) / float32(len(firsts))
    support = max(scale, ONE)
    for output in range(len(firsts)):
        centre = scale * (float32(output) + HALF)
        first = max(0, int(np.floor(centre - support + HALF)))
        count = min(length, int(np.floor(centre + support + HALF))) - first
        total = ZERO
        for tap in range(count):
            distance = abs(float32(first + tap) - (centre - HALF))
            weights[output, tap] = max(ONE - distance / support, ZERO)
            total += weights[output, tap]
        for tap in range(count):
            weights[output, tap] /= total
        firsts[output], counts[output] = first, count


@_compiled
def _crop(canvas: Array, box: Array, flip: bool, view: Array, scratch: Array, line: Array, taps: Any) -> None:
    """The box of a canvas (3, H, W) as a `view` (3, S, S), transposed, in [0, 1]; `crop.resample` for one picture.

    `scratch`, at least (3, W, S), takes the box after the vertical pass, transposed; `line`, at least (W,), one row.
    """
    firsts, counts, weights = taps
    top, left, height, width = box
    size = view.shape[1]
    row = line[:width]
    _taps(height, firsts, counts, weights)
    for channel in range(3):
        columns = scratch[channel]
        for y in range(size):
            row[:] = ZERO
            for tap in range(counts[y]):
                weight = weights[y, tap] / WHITE
                pixels = canvas[channel, top + firsts[y] + tap, left : left + width]
                for x in range(width):
                    row[x] += weight * float32(pixels[x])
            for x in range(width):
                columns[x, y] = row[x]
    _taps(width, firsts, counts, weights)
    for channel in range(3):
        for x in range(size):
            result = view[channel, size - 1 - x if flip else x]
            result[:] = ZERO
            for tap in range(counts[x]):
                weight = weights[x, tap]
                column = scratch[channel, firsts[x] + tap]
                for y in range(size):
                    result[y] += weight * column[y]
            for y in range(size):
                result[y] = _clamp(result[y])  # weights add up to 1 only up to rounding


@_compiled
def _clamp(value: Any) -> Any:
    return min(max(value, ZERO), ONE)


@_compiled
def _luma(red: Any, green: Any, blue: Any) -> Any:
    return RED * red + GREEN * green + BLUE * blue


@_compiled
def _adjust_brightness(view: Array, factor: Any) -> None:
    values = view.reshape(-1)
    for i in range(len(values)):
        values[i] = _clamp(values[i] * factor)


@_compiled
def _adjust_contrast(view: Array, factor: Any, line: Array) -> None:
    size = view.shape[1]
    sums = line[:size]  # of each row, so that a column is added in few instructions
    sums[:] = ZERO
    for x in range(size):
        red, green, blue = view[0, x], view[1, x], view[2, x]
        for y in range(size):
            sums[y] += _luma(red[y], green[y], blue[y])
    grey = (ONE - factor) * (sums.sum() / float32(size * size))
    values = view.reshape(-1)
    for i in range(len(values)):
        values[i] = _clamp(values[i] * factor + grey)


@_compiled
def _adjust_saturation(view: Array, factor: Any) -> None:
    red, green, blue = view[0].reshape(-1), view[1].reshape(-1), view[2].reshape(-1)
    for i in range(len(red)):
        grey = (ONE - factor) * _luma(red[i], green[i], blue[i])
        red[i] = _clamp(red[i] * factor + grey)
        green[i] = _clamp(green[i] * factor + grey)
        blue[i] = _clamp(blue[i] * factor + grey)


@_compiled
def _channel(turns: Any, value: Any, chroma: Any) -> Any:
    distance = abs(turns - float32(np.int32(turns)) - HALF) * SIX
    return _clamp(value - chroma * _clamp(TWO - distance))


@_compiled
def _adjust_hue(view: Array, shift: Any) -> None:
    """The arithmetic of `color.adjust_hue`, pixel by pixel."""
    red, green, blue = view[0].reshape(-1), view[1].reshape(-1), view[2].reshape(-1)
    for i in range(len(red)):
        r, g, b = red[i], green[i], blue[i]
        value, least = max(max(r, g), b), min(min(r, g), b)
        chroma = value - least
        from_red = (g + b - r - least) / max(chroma, TINY) + ONE
        turns = (from_red if g >= b else -from_red) / SIX + (shift + ONE)
        red[i] = _channel(turns, value, chroma)
        green[i] = _channel(turns + TWO_THIRDS, value, chroma)
        blue[i] = _channel(turns + THIRD, value, chroma)


@_compiled
def _to_grayscale(view: Array) -> None:
    red, green, blue = view[0].reshape(-1), view[1].reshape(-1), view[2].reshape(-1)
    for i in range(len(red)):
        red[i] = green[i] = blue[i] = _luma(red[i], green[i], blue[i])


@_compiled
def _reflected(position: int, size: int) -> int:
    last = size - 1
    return last - abs(last - abs(position))


@_compiled
def _blur(view: Array, sigma: Any, radius: int, plane: Array, line: Array) -> None:
    """`blur.gaussian_blur` for one picture; scratch are `plane` (S, S) and `line`, at least (S + 2 radius,)."""
    size = view.shape[1]
    weights = np.empty(2 * radius + 1, float32)
    for tap in range(len(weights)):
        weights[tap] = np.exp(-HALF * (float32(tap - radius) / max(sigma, LEAST_SIGMA)) ** 2)
    weights /= weights.sum()
    for channel in range(3):
        plane[:] = ZERO
        for x in range(size):
            for tap in range(len(weights)):
                column = view[channel, _reflected(x + tap - radius, size)]
                for y in range(size):
                    plane[x, y] += weights[tap] * column[y]
        for x in range(size):
            for y in range(-radius, size + radius):
                line[y + radius] = plane[x, _reflected(y, size)]
            result = view[channel, x]
            result[:] = ZERO
            for tap in range(len(weights)):
                for y in range(size):
                    result[y] += weights[tap] * line[y + tap]
            for y in range(size):
                result[y] = _clamp(result[y])


@_compiled
def _solarize(view: Array, threshold: Any) -> None:
    values = view.reshape(-1)
    for i in range(len(values)):
        values[i] = ONE - values[i] if values[i] >= threshold else values[i]


def _make_views(
    canvases: Array,
    boxes: Array,
    flips: Array,
    codes: Array,
    values: Array,
    radius: int,
    mean: Array,
    std: Array,
    views: Array,
) -> None:
    """`views` (B, S, S, 3) of `canvases`; `codes` (N,) are the operations in order, `values` (B, N) their parameters.

    A parameter that changes nothing is passed over. `scratch` and `line` serve crop, contrast and blur by turns.
    """
    _, _, height, width = canvases.shape
    size = views.shape[1]
    view = np.empty((3, size, size), float32)
    scratch = np.empty((3, max(width, size), size), float32)
    line = np.empty(max(width, size + 2 * radius), float32)
    most = 2 * max(height, width) // size + 3
    taps = np.empty(size, np.int64), np.empty(size, np.int64), np.empty((size, most), float32)
    for sample in range(len(canvases)):
        _crop(canvases[sample], boxes[sample], flips[sample], view, scratch, line, taps)
        for place in range(len(codes)):
            code, value = codes[place], values[sample, place]
            if code == BRIGHTNESS and value != ONE:
                _adjust_brightness(view, value)
            elif code == CONTRAST and value != ONE:
                _adjust_contrast(view, value, line)
            elif code == SATURATION and value != ONE:
                _adjust_saturation(view, value)
            elif code == HUE and value != ZERO:
                _adjust_hue(view, value)
            elif code == GRAYSCALE and value != ZERO:
                _to_grayscale(view)
            elif code == BLUR and value != ZERO:
                _blur(view, value, radius, scratch[0, :size], line)
            elif code == SOLARIZE and value <= ONE:
                _solarize(view, value)
        for x in range(size):
            for channel in range(3):
                column = view[channel, x]
                for y in range(size):
                    views[sample, y, x, channel] = (column[y] - mean[channel]) / std[channel]


TYPES = (
    "void(uint8[:,:,:,::1], int64[:,::1], boolean[::1], int64[::1], float32[:,::1], int64, float32[::1], float32[::1], "
    "float32[:,:,:,::1])"
)


def _compile(cache: bool) -> Callable[..., None]:
    return numba.njit(TYPES, cache=cache, nogil=True, error_model="numpy")(_make_views)


def _fingerprint() -> str:
    """Of all that the machine code hangs on but numba and Python, which numba looks at itself.

    In the name of its file in the cache no process meets what another kind of processor, or other code, has left.
    """
    processor = llvmlite.binding.get_host_cpu_name(), llvmlite.binding.get_host_cpu_features().flatten()
    facts = repr((*processor, color.LUMA)).encode() + Path(__file__).read_bytes()
    return hashlib.sha256(facts).hexdigest()[:12]


_make_views.__qualname__ += f"-{_fingerprint()}"
try:
    _views = _compile(cache=True)
except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:  # how a cache fails
    warnings.warn(
        f"The functions that make views are compiled anew in every process, about 10 s each: {error!r}. "
        "Set NUMBA_CACHE_DIR to a folder that can be written.",
        stacklevel=1,
    )
    _views = _compile(cache=False)
