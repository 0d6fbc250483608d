"""CUDA graphs: work that a GPU is given by one launch instead of hundreds, each of which takes the host longer than it
takes the card where pictures are small."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

TRIES = 3
"""Of what is captured, before it is: libraries choose their kernels in them."""


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
    with torch.cuda.stream(torch.cuda.Stream(device)):  # type: ignore[no-untyped-call]
        yield captured
    torch.cuda.synchronize(device)
    captured.hidden_bytes = torch.cuda.max_memory_allocated(device) - torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)  # else it would hold the hidden bytes, too


def capture(work: Callable[[], None], pool: Any) -> torch.cuda.CUDAGraph:
    """The launches of `work`, within `capturing`.

    Graphs of one `pool` share their memory: a replay may overwrite what another one left there and nobody kept.
    """
    graph = torch.cuda.CUDAGraph()
    # Of this thread alone: another one may be pinning memory for pictures that come ahead.
    with torch.cuda.graph(graph, pool, torch.cuda.current_stream(), capture_error_mode="thread_local"):
        work()
    return graph


class EncoderGraphs:
    """Takes over `encoder.forward` in training: the n-th call of a step replays the n-th pair of graphs, forward and
    backward.

    The first step runs as it is and shows which calls a step has (a method with one view per step, or local views, has
    others); they are captured before the second. What graphs do not stand for runs as it is: calls without gradients
    or with one for the images, in evaluation mode, in another precision, of another shape or beyond those of the first
    step; and all of them where hooks hang on the encoder, or once its tensors are others, parts of it are frozen or
    switched to evaluation.

    Backward passes of a step have to come once each, from the last call to the first, as they do for one loss. Their
    gradients are overwritten by the next step's, so that they cannot be accumulated over several.
    """

    def __init__(self, encoder: nn.Module) -> None:
        self.encoder = encoder
        self.captured = Captured()
        self._patched = vars(encoder).get("forward")
        self._as_it_is: Callable[[Tensor], Tensor] = encoder.forward
        self._inputs: list[Tensor] = []
        self._passes: list[_Pass] = []
        self._recording, self._usable = True, False
        self._state: object = None
        self._calls = self._passes_left = 0
        encoder.forward = self._forward

    def __deepcopy__(self, memo: dict[int, Any]) -> EncoderGraphs:
        """Of a copy of the encoder, such as a momentum target, which runs as it is."""
        other = EncoderGraphs.__new__(EncoderGraphs)
        other.encoder = copy.deepcopy(self.encoder, memo)
        other._as_it_is = type(other.encoder).forward.__get__(other.encoder)
        other._passes, other._calls, other._recording, other._usable = [], 0, False, False
        return other

    def begin_step(self) -> None:
        """Before the first call of a step, in the precision (autocast) of the step."""
        hooked, state = _hooked(self.encoder), _state(self.encoder)
        if self._inputs and not hooked:
            self._state, self._recording = state, False
            self._capture()
        self._inputs = []
        self._usable = state == self._state and not hooked
        self._calls, self._passes_left = 0, len(self._passes)

    def release(self) -> None:
        """Give the encoder its own `forward` back, and the memory."""
        del self.encoder.forward
        if self._patched is not None:
            self.encoder.forward = self._patched
        self._passes = []

    def replay_forward(self, number: int, images: Tensor) -> Tensor:
        """Features of the n-th call."""
        return self._passes[number].replay_forward(images)

    def replay_backward(self, number: int, feature_gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the encoder's parameters by the n-th call; None for one that has no part in it."""
        if number >= self._passes_left:
            raise RuntimeError(
                "a second backward pass through the encoder within one step, or one that is not from the last call to "
                "the first: set `replays = False` in the class of the method"
            )
        self._passes_left = number
        return self._passes[number].replay_backward(feature_gradient)

    def _forward(self, images: Tensor) -> Tensor:
        if images.requires_grad or not (self.encoder.training and torch.is_grad_enabled()):
            return self._as_it_is(images)
        if self._recording:
            self._inputs.append(torch.zeros_like(images))
            return self._as_it_is(images)
        number, self._calls = self._calls, self._calls + 1
        fits = number < len(self._passes) and images.shape == self._passes[number].images.shape
        if not (fits and self._usable and self._passes[number].precision == _precision(images)):
            return self._as_it_is(images)
        features: Tensor = _Replay.apply(self, number, images, *self._passes[number].parameters)
        return features

    def _capture(self) -> None:
        """In the order of a step: forward from the first call to the last, backward from the last to the first."""
        device = self._inputs[0].device
        statistics = [buffer.clone() for buffer in self.encoder.buffers()]
        lowered, precision = torch.is_autocast_enabled(device.type), torch.get_autocast_dtype(device.type)
        # Weights that were cast for one pass must not be those of another: no cache.
        arithmetic = torch.autocast(device.type, precision, lowered, cache_enabled=False)
        with capturing(device) as self.captured, torch.enable_grad(), arithmetic:
            parameters = [parameter for parameter in self.encoder.parameters() if parameter.requires_grad]
            passes = [_Pass(self._as_it_is, images, parameters) for images in self._inputs]
            pool = torch.cuda.graph_pool_handle()
            for own in passes:
                own.capture_forward(pool)
            for own in reversed(passes):
                own.capture_backward(pool)
        self._passes = passes
        for buffer, value in zip(self.encoder.buffers(), statistics, strict=True):
            buffer.copy_(value)  # trying out went through batch normalisation


class _Pass:
    """A forward pass and the backward pass through it, with the tensors that their graphs read and write."""

    def __init__(self, forward: Callable[[Tensor], Tensor], images: Tensor, parameters: list[nn.Parameter]) -> None:
        self.images, self.parameters, self.precision = images, parameters, _precision(images)
        self.gradients: tuple[Tensor | None, ...] = ()
        self._as_it_is = forward
        self._output: Tensor | None = forward(images)
        self._features = torch.empty_like(self._output, requires_grad=False)
        self._feature_gradient = torch.zeros_like(self._features)
        for _ in range(TRIES):
            self._forward()
            self._backward()

    def capture_forward(self, pool: Any) -> None:
        self._forward_graph = capture(self._forward, pool)

    def capture_backward(self, pool: Any) -> None:
        self._backward_graph = capture(self._backward, pool)
        self._output = None  # and what autograd keeps for it

    def replay_forward(self, images: Tensor) -> Tensor:
        self.images.copy_(images)
        self._forward_graph.replay()
        return self._features.clone()  # a method may keep them beyond the next step

    def replay_backward(self, feature_gradient: Tensor) -> tuple[Tensor | None, ...]:
        self._feature_gradient.copy_(feature_gradient)
        self._backward_graph.replay()
        return tuple(None if gradient is None else gradient.detach() for gradient in self.gradients)

    def _forward(self) -> None:
        self._output = self._as_it_is(self.images)
        self._features.copy_(self._output.detach())

    def _backward(self) -> None:
        assert self._output is not None
        self.gradients = torch.autograd.grad(self._output, self.parameters, self._feature_gradient, allow_unused=True)


class _Replay(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, graphs: EncoderGraphs, number: int, images: Tensor, *parameters: Tensor) -> Tensor:
        ctx.graphs, ctx.number = graphs, number
        return graphs.replay_forward(number, images)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, feature_gradient: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, None, *ctx.graphs.replay_backward(ctx.number, feature_gradient)


def _precision(images: Tensor) -> torch.dtype | None:
    kind = images.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None


def _state(encoder: nn.Module) -> object:
    """What is fixed in graphs of `encoder`: where its tensors lie, and which of its parts are trained."""
    parameters = [(parameter.data_ptr(), parameter.requires_grad) for parameter in encoder.parameters()]
    return parameters, [buffer.data_ptr() for buffer in encoder.buffers()], [m.training for m in encoder.modules()]


def _hooked(encoder: nn.Module) -> bool:
    """Whether something is to be called in the passes through `encoder` that a replay would leave out."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    on_parts = any(getattr(part, name) for part in encoder.modules() for name in hooks)
    return on_parts or any(parameter._backward_hooks for parameter in encoder.parameters())
