"""Contenders take turns; medians and paired ratios."""

import pytest
import torch

from bench.cost.clock import Times, paired_ratio, quartiles, repeated, take_turns

CPU = torch.device("cpu")


def test_turns_are_reversed_from_round_to_round():
    calls = []
    contenders = {name: repeated(lambda name=name: calls.append(name)) for name in "abc"}
    times = take_turns(contenders, CPU, rounds=3)
    assert "".join(calls[6:]) == "abccbaabc"  # the first six warm up
    assert all(len(own.wall) == len(own.cpu) == 3 for own in times.values())


def test_a_contender_that_takes_long_still_has_one_round_and_a_short_one_three():
    def spin():
        sum(range(100_000))

    assert len(take_turns({"a": repeated(spin)}, CPU, rounds=9, seconds=0.0)["a"].wall) == 1
    assert len(take_turns({"a": repeated(lambda: None)}, CPU, rounds=9)["a"].wall) == 9


def test_numbers_are_medians_in_milliseconds():
    numbers = Times(wall=(1.0, 3.0, 2.0), cpu=(0.1, 0.3, 0.2)).numbers()
    assert (numbers["wall_ms"], numbers["cpu_ms"], numbers["rounds"]) == (2000.0, 200.0, 3)
    assert (numbers["wall_ms_low"], numbers["wall_ms_high"]) == pytest.approx((1500, 2500))
    assert numbers["cpu_ms_low"] == pytest.approx(150)
    assert numbers["cpu_ms_high"] == pytest.approx(250)


def test_ratios_are_paired_by_round():
    slow_rounds = Times(wall=(1.0, 1.0, 1.0), cpu=(1.0, 10.0, 2.0))
    half = Times(wall=(4.0, 4.0, 4.0), cpu=(0.5, 5.0, 1.0))
    assert paired_ratio(slow_rounds, half, CPU) == {"ratio": 2.0, "ratio_low": 2.0, "ratio_high": 2.0}


def test_quartiles_of_one_value():
    assert quartiles([3.0]) == (3.0, 3.0)
