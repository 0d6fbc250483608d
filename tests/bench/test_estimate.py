"""What a run would take, by a clock that can be worked out by hand."""

import dataclasses
import itertools
import re

import pytest
import torch

from bench import estimate
from bench.arms import parse
from bench.data import load
from bench.datasets._store import open_store
from bench.local import Execution
from bench.plan import Request, open_dataset, plan
from bench.pretrain import Trainer

CPU = torch.device("cpu")
WORDS = ["epochs=3", "batch_size=64", "backbone.width=4", "projector.hidden=8", "projector.output=8"]


@pytest.mark.parametrize(
    ("method", "points", "tested"),
    [("barlow", 3, True), ("barlow", 3, False), ("random", 1, True)],  # random is not trained for 3 epochs
)
def test_steps_and_pictures_are_counted(method, points, tested, tmp_path):
    words = [*WORDS, f"evaluate.test={str(tested).lower()}"]
    request = Request([parse(method)], ["digits"], [0], "quick", words, tmp_path, recipe="none")
    (spec,) = plan(request, CPU)
    trainer = Trainer(spec, load(open_store(open_dataset("digits"), tmp_path, None), CPU), CPU)
    ticks = itertools.count()  # every reading is a second after the one before
    found = estimate.Measured(lambda: float(next(ticks))).estimate(trainer)
    assert found.pretraining == trainer.total_steps
    data = trainer.data
    training, validation, test = (len(part) for part in (data.train, data.validation, data.test))
    pictures = points * (training + validation) + test * tested  # the last point's serve the evaluation, too
    of_geometry = (points - 1) * 512 + min(2048, training)
    assert found.features == pytest.approx((pictures + of_geometry) / 512)
    assert found.seconds == found.pretraining + found.features
    assert found.memory_mib > 0


def execution(folder):
    return Execution(folder, folder, None, "cpu", jobs=2, threads=1, checkpoint_seconds=120.0, tensorboard=False)


def test_runs_that_cost_the_same_are_measured_once(tmp_path, monkeypatch, capsys):
    def specs(arm, *words):
        return plan(Request([parse(arm)], ["digits"], [0, 1], "quick", [*WORDS, *words], tmp_path, recipe="none"), CPU)

    steps, pictures = [], []
    monkeypatch.setattr(estimate, "_step_seconds", lambda trainer, clock: steps.append(trainer.spec.id) or 2.0)
    found = estimate.Picture(features=0.01, geometry=0.0)
    monkeypatch.setattr(estimate, "_picture", lambda trainer, clock: pictures.append(trainer.spec.id) or found)
    alike = [*specs("barlow"), *specs("barlow:lambda_=0.1"), *specs("barlow", "optimizer.lr=1", "seeds.order=0")]
    longer, optimiser = specs("barlow", "epochs=6"), specs("barlow", "optimizer.name=sgd", "batch_size=32")
    others = [*specs("barlow", "projector.output=16"), *specs("smi"), *specs("smi:form=maxmin")]
    estimate.print_estimate([*alike, *longer, *optimiser, *others], execution(tmp_path), CPU)
    assert steps == [spec.id for spec in [alike[0], optimiser[0], *others[::2]]]
    assert pictures == [spec.id for spec in [alike[0], *others[::2]]]
    out = capsys.readouterr().out

    def seconds(spec):
        found = re.search(rf"{spec.id}  about (\d+) s, (\d+) s of it features; [1-9]\d* MiB", out)
        return int(found[1]) - int(found[2]), int(found[2])

    steps_of_an_epoch = len(load(open_store(open_dataset("digits"), tmp_path, None), CPU).train) // 64
    assert all(seconds(spec) == seconds(alike[0]) for spec in alike)
    assert [seconds(specs[0])[0] for specs in (alike, longer)] == [
        2.0 * epochs * steps_of_an_epoch for epochs in (3, 6)
    ]
    assert seconds(longer[0])[1] > seconds(alike[0])[1]  # its curve has more points
    total = sum(sum(seconds(spec)) for spec in [*alike, *longer, *optimiser, *others])
    said = float(re.search(r"about ([\d.]+) minutes with 2 at a time", out)[1])
    assert said == pytest.approx(total / 2 / 60, abs=0.2)


def test_of_several_processes_one_is_measured_with_its_share_of_the_batch(tmp_path, capsys, monkeypatch):
    seen = []

    def step_seconds(trainer, clock):
        rows, _ = next(trainer.batches.of_step(0))
        seen.append((len(rows), trainer.spec.protocol.batch_size, torch.get_num_threads()))
        return 1.0

    monkeypatch.setattr(estimate, "_step_seconds", step_seconds)
    words = [*WORDS, "batch_size=32"]
    request = Request([parse("barlow")], ["digits"], [0], "quick", words, tmp_path, recipe="none", processes=4)
    threads = torch.get_num_threads()
    try:
        estimate.print_estimate(plan(request, CPU), dataclasses.replace(execution(tmp_path), threads=2), CPU)
    finally:
        torch.set_num_threads(threads)
    assert seen == [(8, 32, 2)]
    assert "one is measured with its share" in capsys.readouterr().out
