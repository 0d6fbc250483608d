"""What a run would take, by a clock that can be worked out by hand."""

import itertools

import pytest
import torch

from bench import estimate
from bench.arms import parse
from bench.data import load
from bench.datasets._store import open_store
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
    found = estimate.estimate(trainer, lambda: float(next(ticks)))
    assert found.pretraining == trainer.total_steps
    data = trainer.data
    training, validation, test = (len(part) for part in (data.train, data.validation, data.test))
    pictures = points * (training + validation) + test * tested  # the last point's serve the evaluation, too
    of_geometry = (points - 1) * 512 + min(2048, training)
    assert found.features == pytest.approx((pictures + of_geometry) / 512)
    assert found.seconds == found.pretraining + found.features
    assert found.memory_mib > 0


def test_runs_that_cost_the_same_are_measured_once(tmp_path, monkeypatch, capsys):
    def specs(arm, *words):
        return plan(Request([parse(arm)], ["digits"], [0, 1], "quick", [*WORDS, *words], tmp_path, recipe="none"), CPU)

    measured = []
    found = estimate.Estimate(90.0, 30.0, 100.0)
    monkeypatch.setattr(estimate, "estimate", lambda trainer, clock: measured.append(trainer.spec.id) or found)
    alike = [*specs("barlow"), *specs("barlow:lambda_=0.1"), *specs("barlow", "optimizer.lr=1", "seeds.order=0")]
    others = [*specs("barlow", "projector.output=16"), *specs("smi"), *specs("smi:form=maxmin")]
    estimate.print_estimate([*alike, *others], tmp_path, tmp_path, None, CPU, 2)
    assert measured == [alike[0].id, *(spec.id for spec in others[::2])]
    out = capsys.readouterr().out
    assert all(f"{spec.id}  about 120 s, 30 s of it features; 100 MiB" in out for spec in [*alike, *others])
    assert "about 12.0 minutes with 2 at a time" in out
