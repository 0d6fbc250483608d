"""CUDA graphs: work that a GPU is given by one launch instead of hundreds, each of which takes the host longer than it
takes the card where pictures are small."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

TRIES = 3
"""Of what is captured, before it is: libraries choose their kernels in them."""


Result = TypeVar("Result")


@dataclass
class Captured:
    """What was captured within `capturing`."""

    hidden_bytes: int = 0
    """Memory of the GPU in which replays work, and which torch.cuda.max_memory_allocated does not count."""


@contextmanager
def capturing(device: torch.device) -> Iterator[Captured]:
    """Around tries and captures, which go to a stream of their own as torch asks for it. Resets the peak of memory."""
    captured = Captured()
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    with torch.cuda.stream(torch.cuda.Stream(device)):
        yield captured
    torch.cuda.synchronize(device)
    captured.hidden_bytes = torch.cuda.max_memory_allocated(device) - torch.cuda.memory_allocated(device)


def capture(work: Callable[[], Result], pool: Any) -> tuple[torch.cuda.CUDAGraph, Result]:
    """The launches of `work`, within `capturing`, and its result, which every replay writes anew.

    Graphs of one `pool` share their memory: a replay may overwrite what another one left there and nobody kept.
    """
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool, stream=torch.cuda.current_stream()):
        result = work()
    return graph, result


class EncoderGraphs:
    """Takes over `encoder.forward` in training: the n-th call of a step replays the n-th pair of graphs, forward and
    backward.

    The first step runs as it is and shows which calls a step has (a method with one view per step, or local views, has
    others); they are captured before the second. Calls without gradients, in evaluation mode, beyond those of the first
    step or of another shape run as they are.

    Backward has to come through the calls from the last to the first, as autograd does. Gradients of parameters are
    overwritten by the next backward pass, so they cannot be accumulated over several.
    """

    def __init__(self, encoder: nn.Module) -> None:
        self.encoder = encoder
        self.captured = Captured()
        self._inputs: list[Tensor] = []
        self._passes: list[_Pass] = []
        self._call = 0
        encoder.forward = self._forward  # type: ignore[method-assign]

    def begin_step(self) -> None:
        """Before the first call of a step, in the precision (autocast) of the step."""
        if self._inputs and not self._passes:
            self._capture()
        self._call = 0

    def release(self) -> None:
        """Give the encoder its own `forward` back, and the memory."""
        del self.encoder.forward
        self._passes = []

    def _forward(self, images: Tensor) -> Tensor:
        if not (self.encoder.training and torch.is_grad_enabled()):
            return self._as_it_is(images)
        if not self._passes:
            self._inputs.append(torch.zeros_like(images))
            return self._as_it_is(images)
        number, self._call = self._call, self._call + 1
        if number >= len(self._passes) or images.shape != self._inputs[number].shape:
            return self._as_it_is(images)
        features: Tensor = _Replay.apply(self._passes[number], images, *self.encoder.parameters())
        return features

    def _as_it_is(self, images: Tensor) -> Tensor:
        features: Tensor = type(self.encoder).forward(self.encoder, images)
        return features

    def _capture(self) -> None:
        statistics = [buffer.clone() for buffer in self.encoder.buffers()]
        device = self._inputs[0].device
        lowered, precision = torch.is_autocast_enabled(device.type), torch.get_autocast_dtype(device.type)
        # Weights that were cast for one pass must not be those of another: no cache.
        arithmetic = torch.autocast(device.type, precision, lowered, cache_enabled=False)
        with capturing(device) as self.captured, torch.enable_grad(), arithmetic:
            self._passes = _capture_passes(self._as_it_is, self._inputs, list(self.encoder.parameters()))
        for buffer, value in zip(self.encoder.buffers(), statistics, strict=True):
            buffer.copy_(value)  # trying out went through batch normalisation


@dataclass(frozen=True)
class _Pass:
    """A forward pass and the backward pass through it, with the tensors that they read and write."""

    images: Tensor
    features: Tensor
    forward: torch.cuda.CUDAGraph
    feature_gradient: Tensor
    gradients: tuple[Tensor, ...]
    backward: torch.cuda.CUDAGraph


class _Replay(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, replayed: _Pass, images: Tensor, *parameters: Tensor) -> Tensor:  # type: ignore[override]
        ctx.replayed = replayed
        replayed.images.copy_(images)
        replayed.forward.replay()
        return replayed.features.detach()

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, feature_gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        replayed: _Pass = ctx.replayed
        replayed.feature_gradient.copy_(feature_gradient)
        replayed.backward.replay()
        return None, None, *(gradient.detach() for gradient in replayed.gradients)


def _capture_passes(
    forward: Callable[[Tensor], Tensor], inputs: list[Tensor], parameters: list[nn.Parameter]
) -> list[_Pass]:
    """One pair of graphs for each of the `inputs`, captured in the order of a step: forward from the first to the last,
    backward from the last to the first. What autograd kept of them is dropped with the outputs."""
    for images in inputs:
        for _ in range(TRIES):
            features = forward(images)
            torch.autograd.grad(features, parameters, torch.zeros_like(features))
    pool = torch.cuda.graph_pool_handle()
    captured = [(images, *capture(partial(forward, images), pool)) for images in inputs]
    passes = []
    for images, graph, features in reversed(captured):
        given = torch.zeros_like(features)
        backward, gradients = capture(partial(torch.autograd.grad, features, parameters, given), pool)
        passes.append(_Pass(images, features.detach(), graph, given, gradients, backward))
    return passes[::-1]
