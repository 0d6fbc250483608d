"""Encoders: ResNets that share torchvision's parameter names, so that saved weights load there.

`resnet18`, `resnet50`: torchvision's networks without the classifier (He et al. 2016); images up to 64 px get the
CIFAR stem (3x3 convolution, stride 1, no max-pooling; Chen et al. 2020, appendix B.9).
`slim`: three stages of one basic block, for processors without a GPU; above 32 px its stem has stride 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from torchvision.models.resnet import BasicBlock, Bottleneck

SMALL_IMAGE = 64
"""Images up to this many pixels wide get a 3x3 stem without max-pooling."""
NARROW = 16
"""Channels below which oneDNN cannot be trusted with a strided 1x1 convolution; see NarrowShortcut."""
EXPANSION = 4
"""Of a bottleneck (He et al. 2016, figure 5)."""


@dataclass(frozen=True)
class Layout:
    """Kind of residual block (bottlenecks widen their stage by EXPANSION), blocks per stage, width of the first stage,
    largest image whose stem keeps every pixel."""

    bottleneck: bool
    stages: tuple[int, ...]
    width: int
    full_resolution: int

    @property
    def expansion(self) -> int:
        return EXPANSION if self.bottleneck else 1


LAYOUTS = {
    "resnet18": Layout(bottleneck=False, stages=(2, 2, 2, 2), width=64, full_resolution=64),
    "resnet50": Layout(bottleneck=True, stages=(3, 4, 6, 3), width=64, full_resolution=64),
    "slim": Layout(bottleneck=False, stages=(1, 1, 1), width=32, full_resolution=32),
}


def stem(layout: Layout, image_size: int) -> tuple[int, int]:
    """Size and stride of the first convolution for images of this width; one of 7 has max-pooling after it."""
    return 3 if image_size <= SMALL_IMAGE else 7, 1 if image_size <= layout.full_resolution else 2


class ResNet(nn.Module):
    """ResNet without classifier: (B, 3, S, S) to (B, `feature_dim`). Width w doubles at each stage after the first."""

    def __init__(self, layout: Layout, width: int, image_size: int) -> None:
        super().__init__()
        kernel, stride = stem(layout, image_size)
        self.conv1 = nn.Conv2d(3, width, kernel, stride, padding=kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if kernel == 3 else nn.MaxPool2d(3, stride=2, padding=1)
        self.stages = len(layout.stages)
        channels, block = width, _block(layout)
        for index, blocks in enumerate(layout.stages):
            planes = width * 2**index
            stage = _stage(block, channels, planes, blocks, stride=1 if index == 0 else 2)
            self.add_module(f"layer{index + 1}", stage)
            channels = planes * layout.expansion
        self.feature_dim = channels
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def feature_map(self, images: Tensor) -> Tensor:
        """Activations (B, feature_dim, h, w) before pooling."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        for index in range(self.stages):
            x = getattr(self, f"layer{index + 1}")(x)
        return x

    def forward(self, images: Tensor) -> Tensor:
        # So that the gradient is channels-last as the rest: that of torch's own pooling is not, and the ReLU before it
        # took 2 % of a step to turn it (slim ResNet, 16 px).
        return self.feature_map(images).permute(0, 2, 3, 1).flatten(1, 2).mean(1)


class NarrowShortcut(nn.Conv2d):
    """A strided 1x1 convolution that leaves the other pixels out first, which gives the same.

    The backward pass of oneDNN's own writes past its workspace where there are fewer channels than in one of its
    blocks (uxlfoundation/oneDNN issue 6035): with three threads it crashed here, elsewhere gradients were wrong.
    """

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = self.stride
        return functional.conv2d(x[:, :, ::rows, ::columns], self.weight)


def feature_dim(name: str, width: int | None) -> int:
    """Output width of the network `name` with `width` channels in its first stage (None: its own)."""
    layout = LAYOUTS[name]
    return (width or layout.width) * 2 ** (len(layout.stages) - 1) * layout.expansion


def build(name: str, width: int | None, image_size: int, seed: int) -> ResNet:
    """Encoder with weights drawn from its own generator, so that every method starts from the same one at one seed.

    `width` None takes the layout's own (64 for resnet18/50, 32 for slim).
    """
    layout = LAYOUTS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ResNet(layout, width or layout.width, image_size)


def _block(layout: Layout) -> type[BasicBlock | Bottleneck]:
    from torchvision.models import resnet  # takes over a second, and plans alone need no network

    return resnet.Bottleneck if layout.bottleneck else resnet.BasicBlock


def _stage(block: type[BasicBlock | Bottleneck], channels: int, planes: int, blocks: int, stride: int) -> nn.Sequential:
    out_channels = planes * block.expansion
    downsample = None
    if stride != 1 or channels != out_channels:
        convolution = NarrowShortcut if channels < NARROW else nn.Conv2d
        shortcut = convolution(channels, out_channels, 1, stride, bias=False)
        downsample = nn.Sequential(shortcut, nn.BatchNorm2d(out_channels))
    first = block(channels, planes, stride, downsample)
    return nn.Sequential(first, *(block(out_channels, planes) for _ in range(blocks - 1)))
