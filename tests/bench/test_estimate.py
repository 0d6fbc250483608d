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


@pytest.fixture
def trainer(tmp_path):
    request = Request([parse("barlow")], ["digits"], [0], "quick", WORDS, tmp_path, recipe="none")
    (spec,) = plan(request, CPU)
    return Trainer(spec, load(open_store(open_dataset("digits"), tmp_path, None), CPU), CPU)


def test_steps_and_pictures_are_counted(trainer):
    ticks = itertools.count()  # every reading is a second after the one before
    found = estimate.estimate(trainer, lambda: float(next(ticks)))
    assert found.pretraining == trainer.total_steps
    data = trainer.data
    training, validation, test = (len(part) for part in (data.train, data.validation, data.test))
    pictures = 3 * (training + validation) + training + validation + test
    assert found.features == pytest.approx(pictures / 512)
    assert found.seconds == found.pretraining + found.features
    assert found.memory_mib > 0
