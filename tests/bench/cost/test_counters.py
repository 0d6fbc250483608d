"""Operations and memory against what can be worked out by hand."""

import pytest
import torch

from bench.cost.counters import gigaflops, peak_tensor_mib

CPU = torch.device("cpu")


def test_operations_of_a_product_forward_and_backward():
    a, b = torch.randn(100, 200, requires_grad=True), torch.randn(200, 50, requires_grad=True)
    assert gigaflops(lambda: a @ b) == pytest.approx(2 * 100 * 200 * 50 / 1e9)
    assert gigaflops(lambda: (a @ b).sum().backward()) == pytest.approx(3 * 2 * 100 * 200 * 50 / 1e9)


def test_peak_is_what_is_held_at_once():
    mebibyte = 2**18  # numbers in float32

    def one_after_the_other():
        for _ in range(4):
            torch.zeros(3 * mebibyte)

    def at_once():
        return [torch.zeros(3 * mebibyte) for _ in range(4)]

    assert peak_tensor_mib(one_after_the_other, CPU) == pytest.approx(3, abs=0.1)
    assert peak_tensor_mib(at_once, CPU) == pytest.approx(12, abs=0.1)


def test_what_was_there_before_does_not_count():
    there = torch.zeros(2**20)
    assert peak_tensor_mib(lambda: there.add_(1), CPU) < 0.1
