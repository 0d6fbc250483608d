"""Counted rather than timed: floating-point operations and the peak memory of tensors."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode


def gigaflops(function: Callable[[], object]) -> float:
    """Floating-point operations of matrix products and convolutions in one call, forward and backward, in 1e9."""
    counter = FlopCounterMode(display=False)
    with counter:
        function()
    return counter.get_total_flops() / 1e9


def peak_tensor_mib(function: Callable[[], object], device: torch.device) -> float:
    """Most MiB that tensors made during one call take at once, beyond those that were there before.

    Counted at the allocator, so that neither other processes nor its caches show. What a library allocates past it
    (scratch space of oneDNN or cuDNN) is not counted on a CPU.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        function()
        torch.cuda.synchronize(device)
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        function()
    assert recorded.profiler is not None
    assert recorded.profiler.kineto_results is not None
    held = most = 0
    events = [event for event in recorded.profiler.kineto_results.events() if event.name() == "[memory]"]
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most / 2**20
