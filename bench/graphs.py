"""An encoder as CUDA graphs: each of its forward and backward passes is one launch.

A pass of ResNet-18 over small pictures is hundreds of launches, each of which takes the host longer than the card.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GraphedEncoder:
    """Takes over `encoder.forward` in training: the n-th call of a step replays the n-th pair of graphs.

    The first step runs as it is and shows which calls a step has (a method with one view per step, or local views, has
    others); they are captured before the second. Calls without gradients, in evaluation mode, beyond those of the first
    step or of another shape run as they are.

    The graphs share their memory: backward has to come through the calls from the last to the first, as autograd does.
    Gradients of parameters are overwritten by the next backward pass, so they cannot be accumulated over several.
    """

    def __init__(self, encoder: nn.Module) -> None:
        self.encoder = encoder
        self.hidden_bytes = 0
        """Memory of the GPU in which replays work, and which torch.cuda.max_memory_allocated does not count."""
        self._inputs: list[Tensor] = []
        self._graphs: tuple[nn.Module, ...] = ()
        self._call = 0
        encoder.forward = self._forward  # type: ignore[method-assign]

    def begin_step(self) -> None:
        """Before the first call of a step, in the precision (autocast) of the step."""
        if self._inputs and not self._graphs:
            self._capture()
        self._call = 0

    def release(self) -> None:
        """Give the encoder its own `forward` back, and the memory."""
        del self.encoder.forward
        self._graphs = ()

    def _forward(self, images: Tensor) -> Tensor:
        if not (self.encoder.training and torch.is_grad_enabled()):
            return self._as_it_is(images)
        if not self._graphs:
            self._inputs.append(torch.zeros_like(images))
            return self._as_it_is(images)
        number, self._call = self._call, self._call + 1
        if number >= len(self._inputs) or images.shape != self._inputs[number].shape:
            return self._as_it_is(images)
        features: Tensor = self._graphs[number](images)
        return features

    def _as_it_is(self, images: Tensor) -> Tensor:
        features: Tensor = type(self.encoder).forward(self.encoder, images)
        return features

    def _capture(self) -> None:
        device = next(self.encoder.parameters()).device
        statistics = [buffer.clone() for buffer in self.encoder.buffers()]
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        del self.encoder.forward  # what is captured is its own
        lowered = torch.is_autocast_enabled(device.type)
        with torch.autocast(device.type, torch.get_autocast_dtype(device.type), lowered, cache_enabled=False):
            self._graphs = torch.cuda.make_graphed_callables(
                tuple(nn.Sequential(self.encoder) for _ in self._inputs), tuple((images,) for images in self._inputs)
            )
        self.encoder.forward = self._forward  # type: ignore[method-assign]
        self.hidden_bytes = torch.cuda.max_memory_allocated(device) - torch.cuda.memory_allocated(device)
        for buffer, value in zip(self.encoder.buffers(), statistics, strict=True):
            buffer.copy_(value)  # trying out went through batch normalisation
