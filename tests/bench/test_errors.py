"""What users are told where the memory does not suffice."""

from types import SimpleNamespace

import pytest
import torch

from bench.errors import less_memory
from bench.run import _explain


@pytest.mark.parametrize(
    ("batch", "shares", "advice"),
    [
        (256, 1, "try batch_size=128"),
        (5, 1, "try batch_size=2"),
        (24, 4, "try batch_size=12"),
        (20, 4, "try batch_size=8"),
        (3, 1, "try a smaller backbone or image_size"),
        (12, 4, "try a smaller backbone or image_size"),
    ],
)
def test_a_batch_size_is_suggested_only_if_a_run_may_have_it(batch, shares, advice):
    """At least two images in each equal share."""
    assert less_memory(batch, shares) == advice


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported asynchronously"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_every_form_of_it_is_called_out_of_memory(error):
    spec = SimpleNamespace(protocol=SimpleNamespace(batch_size=256, accumulate=2), world_size=2)
    assert _explain(error, spec) == "out of memory at batch_size=256; try batch_size=128"


def test_other_errors_keep_their_words():
    spec = SimpleNamespace(protocol=SimpleNamespace(batch_size=256, accumulate=1), world_size=1)
    assert _explain(RuntimeError("CUBLAS_STATUS_EXECUTION_FAILED"), spec) == (
        "RuntimeError: CUBLAS_STATUS_EXECUTION_FAILED"
    )
