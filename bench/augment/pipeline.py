"""The view pipeline: what is drawn, for which share of the pictures, and in which order it is applied.

Every picture gives two large views and, for methods with multi-crop (SwAV, DINO), small local ones of small parts of
it behind them.

crop + flip -> brightness, contrast, saturation, hue (order drawn per batch) -> greyscale -> blur -> solarise ->
normalise. Parameters are drawn for the whole global batch and can be sliced, so that neither the number of processes
nor gradient accumulation changes a picture's view.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import torch
from torch import Tensor

from bench.api import Range
from bench.augment import blur, color, crop, solarize
from bench.augment.chunks import chunks
from bench.errors import UserError

Area = Annotated[float, Range(above=0, maximum=1)]
Probability = Annotated[float, Range(minimum=0, maximum=1)]
Strength = Annotated[float, Range(minimum=0)]

LARGE_VIEWS = 2
SMALLEST_LOCAL = 8
"""Pixels; fewer leave a ResNet nothing to stride over."""
BLUR_SIGMAS = (0.1, 2.0)
"""Pixels; SimCLR, appendix A."""
SOLARIZE_THRESHOLD = 128 / 255
"""BYOL, appendix B, and PIL's default."""

OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "brightness": color.adjust_brightness,
    "contrast": color.adjust_contrast,
    "saturation": color.adjust_saturation,
    "hue": color.adjust_hue,
    "grayscale": color.to_grayscale,
    "blur": blur.gaussian_blur,
    "solarize": solarize.solarize,
}
JITTERS = ("brightness", "contrast", "saturation", "hue")


@dataclass(frozen=True)
class Augmentation:
    """How views are made. The defaults are solo-learn's for Barlow Twins and BYOL on CIFAR."""

    minimum_scale: Area = 0.08
    """Smallest share of the picture's area that the crop of a large view may have; above 0, at most 1."""
    flip: Probability = 0.5
    """Probability of mirroring left and right; 0 to 1."""
    jitter: Probability = 0.8
    """Probability of colour jitter (brightness, contrast, saturation and hue together); 0 to 1."""
    brightness: Strength = 0.4
    """Factors are drawn from [max(0, 1 - brightness), 1 + brightness]; at least 0."""
    contrast: Strength = 0.4
    """As brightness."""
    saturation: Strength = 0.2
    """As brightness."""
    hue: Annotated[float, Range(minimum=0, maximum=0.5)] = 0.1
    """Shifts are drawn from [-hue, hue], in turns of the colour circle; 0 to 0.5."""
    grayscale: Probability = 0.2
    """Probability of greyscale; 0 to 1."""
    blur: list[Probability] = field(default_factory=lambda: [0.0, 0.0])
    """Probability of Gaussian blur in the first and in the second view; 0 to 1 each."""
    solarize: list[Probability] = field(default_factory=lambda: [0.0, 0.2])
    """Probability of solarising in the first and in the second view; 0 to 1 each."""
    local_views: Annotated[int, Range(minimum=0)] = 0
    """Local views behind the two large ones (SwAV: 6, DINO: 8 on ImageNet). Blur and solarisation are those of the
    first and of the second view by turns; SwAV treats all views alike (blur 0.5), DINO's local ones get its mean blur
    (0.5) and are not solarised."""
    local_size: Annotated[int, Range(minimum=SMALLEST_LOCAL)] | None = None
    """Side of a local view in pixels. None: 96/224 of image_size (SwAV and DINO on ImageNet), 8 at least."""
    local_scale: list[Area] = field(default_factory=lambda: [0.05, 0.14])
    """Smallest and largest share of the picture's area in a local view: SwAV's, and DINO's for ResNet-50."""

    @property
    def views(self) -> int:
        """Number of views of a picture."""
        return LARGE_VIEWS + self.local_views

    def side(self, view: int, image_size: int) -> int:
        """Pixels along a side of view 0, 1, ... where the large ones have `image_size`."""
        if view < LARGE_VIEWS:
            return image_size
        return self.local_size or max(SMALLEST_LOCAL, round(image_size * 96 / 224))

    def scale(self, view: int) -> tuple[float, float]:
        """Smallest and largest share of the picture's area in view 0, 1, ..."""
        if view < LARGE_VIEWS:
            return self.minimum_scale, 1.0
        low, high = self.local_scale
        return low, high

    def validate(self) -> None:
        """Raise UserError unless lists have two values in order; single values are checked by bench.config."""
        for name in ("blur", "solarize"):
            probabilities = getattr(self, name)
            if len(probabilities) != 2:
                raise UserError(
                    f"augment.{name} needs two probabilities from 0 to 1, one per view, e.g. augment.{name}=[0.0,0.2]; "
                    f"it has {len(probabilities)}."
                )
        if len(self.local_scale) != 2 or self.local_scale[0] > self.local_scale[1]:
            raise UserError(
                "augment.local_scale needs the smallest and the largest share of the area, e.g. "
                f"augment.local_scale=[0.05,0.14], not {self.local_scale}."
            )


@dataclass(frozen=True)
class Parameters:
    """What happens to each sample of a batch in one view; a slice holds the parameters of those samples."""

    boxes: Tensor
    """(B, 4) int64: top, left, height, width of the crop in pixels of the canvas."""
    flips: Tensor
    """(B,) bool: mirrored left and right."""
    operations: dict[str, Tensor]
    """Name in OPERATIONS -> one parameter per sample (B,), in the order of application."""

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, samples: slice) -> Parameters:
        operations = {name: values[samples] for name, values in self.operations.items()}
        return Parameters(self.boxes[samples], self.flips[samples], operations)


@dataclass(frozen=True)
class Chances:
    """The random numbers, uniform in [0, 1), from which the parameters of one view of a batch are made."""

    crop: Tensor
    """(B, crop.NUMBERS)."""
    rest: Tensor
    """(10, B)."""

    @staticmethod
    def empty(batch: int, device: torch.device) -> Chances:
        """To be drawn."""
        return Chances(torch.empty(batch, crop.NUMBERS, device=device), torch.empty(10, batch, device=device))

    def draw(self, seed: int) -> Chances:
        """These, drawn from `seed` (63 bits), in place."""
        generator = torch.Generator(self.crop.device).manual_seed(seed)
        for numbers in (self.crop, self.rest):
            torch.rand(numbers.shape, generator=generator, out=numbers)
        return self


def draw(augmentation: Augmentation, view: int, sizes: Tensor, seed: int) -> Parameters:
    """Parameters of view 0, 1, ... for a whole batch of pictures of `sizes` (B, 2), on the device of `sizes`.

    Everything follows from `seed` (63 bits; derive it from run seed, epoch, step and view). The order of the four
    jitter operations is drawn once per batch, where torchvision draws one per picture.
    """
    chances = Chances.empty(len(sizes), sizes.device).draw(seed)
    return parameters(augmentation, view, sizes, chances, jitter_order(seed))


def jitter_order(seed: int) -> list[str]:
    """JITTERS in the order in which a batch gets them."""
    return random.Random(seed).sample(JITTERS, 4)


def parameters(
    augmentation: Augmentation, view: int, sizes: Tensor, chances: Chances, jitters: Sequence[str] = JITTERS
) -> Parameters:
    """What `draw` makes of random numbers. Nothing waits for the device.

    A sample left out by chance gets the parameter that changes nothing; an operation that no sample can get is absent.
    Switching one operation off leaves what the others draw as it was.
    """
    boxes = crop.random_boxes(sizes, augmentation.scale(view), chances.crop)
    flipped, jittered, *shares, grey, blurred, sigma, solarized = chances.rest
    drawn = {}
    for name in jitters:
        strength = getattr(augmentation, name)
        neutral = 0.0 if name == "hue" else 1.0
        low = -strength if name == "hue" else max(0.0, 1.0 - strength)
        if augmentation.jitter > 0 and strength > 0:
            factors = low + (neutral + strength - low) * shares[JITTERS.index(name)]
            drawn[name] = torch.where(jittered < augmentation.jitter, factors, neutral)
    if augmentation.grayscale > 0:
        drawn["grayscale"] = (grey < augmentation.grayscale).float()
    blur_share, solarize_share = augmentation.blur[view % LARGE_VIEWS], augmentation.solarize[view % LARGE_VIEWS]
    if blur_share > 0:
        smallest, largest = BLUR_SIGMAS
        drawn["blur"] = torch.where(blurred < blur_share, smallest + (largest - smallest) * sigma, 0.0)
    if solarize_share > 0:
        drawn["solarize"] = torch.where(solarized < solarize_share, SOLARIZE_THRESHOLD, 2.0)
    return Parameters(boxes, flipped < augmentation.flip, drawn)


@torch.no_grad()
def apply(images: Tensor, parameters: Parameters, size: int, mean: Tensor, std: Tensor) -> Tensor:
    """One view, float32 (B, 3, size, size) channels last, of uint8 canvases (B, 3, H, W).

    All tensors are on one device; `mean` and `std` (3,) normalise values in [0, 1]. Nothing waits for the device.
    Autocast does not reach inside; torch.set_float32_matmul_precision does, on a GPU.
    """
    if images.device.type == "cpu":
        from bench.augment import compiled  # slow to import, and a GPU does without

        return compiled.views(images, parameters.boxes, parameters.flips, parameters.operations, size, mean, std)
    return apply_to_batch(images, parameters, size, mean, std)


@torch.no_grad()
def apply_to_batch(images: Tensor, parameters: Parameters, size: int, mean: Tensor, std: Tensor) -> Tensor:
    """What `apply` does on a GPU: every operation on the whole batch, or as much of it as memory allows."""
    views = torch.empty(len(images), 3, size, size, device=images.device, memory_format=torch.channels_last)
    with torch.autocast(images.device.type, enabled=False):
        for samples in chunks(images, numbers=3 * size * size):
            part = parameters[samples]
            view = crop.resample(images[samples], part.boxes, part.flips, size)
            for name, values in part.operations.items():
                view = OPERATIONS[name](view, values)
            views[samples] = normalise(view, mean, std)
    return views


def normalise(view: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """`view` (B, 3, S, S), changed in place, with `mean` and `std` (3,) of the channels taken out."""
    return view.sub_(mean[:, None, None]).div_(std[:, None, None])


def centre_crop(images: Tensor, sizes: Tensor, size: int, mean: Tensor, std: Tensor) -> Tensor:
    """The view for evaluation: the largest central square of pictures of `sizes` (B, 2), resampled as by `apply`.

    torchvision's Resize(size) + CenterCrop(size) up to rounding: there the picture is scaled before it is cut, so the
    cut falls on a pixel of the small picture, here on one of the large.
    """
    unflipped = torch.zeros(len(images), dtype=torch.bool, device=images.device)
    return apply(images, Parameters(crop.central_boxes(sizes), unflipped, {}), size, mean, std)
