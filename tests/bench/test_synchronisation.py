"""Inside an epoch no step waits for the device: no value is read back, no shape depends on values."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bench import discover
from bench.arms import parse
from bench.augment import pipeline
from bench.data import load
from bench.datasets._store import prepare
from bench.plan import Request, open_dataset, plan
from bench.pretrain import Trainer

WORDS = ["backbone.width=4", "projector.hidden=16", "projector.output=16", "batch_size=32", "augment.blur=[0.5,0.5]"]
WAITING = {torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default, torch.ops.aten._unique2.default}
INDEXING = {torch.ops.aten.index.Tensor, torch.ops.aten.index_put.default, torch.ops.aten.index_put_.default}
"""By a mask, that is: its number of entries is read back."""
THEIRS = {"solo/barlow", "solo/vicreg"}  # solo-learn's own functions index by a mask
THEIRS_ON_GPU = {*THEIRS, "solo/wmse"}  # whether its Cholesky decomposition succeeded is read back


class Recorder(TorchDispatchMode):
    """Keeps the operations that would make a GPU's host wait."""

    def __init__(self):
        super().__init__()
        self.waiting = []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        indices = arguments[1] if function in INDEXING else []
        if function in WAITING or any(index is not None and index.dtype == torch.bool for index in indices):
            self.waiting.append(str(function))
        return function(*arguments, **(options or {}))


OPTIMISERS = ["barlow:optimizer.name=lars", "barlow:optimizer.name=sgd"]
"""The others than that of all methods' own trainers here."""


@pytest.fixture(params=[*discover.names("methods"), *OPTIMISERS])
def make(request, tmp_path):
    """Function that gives a method's trainer on a device, two steps into its first epoch."""
    name, _, optimiser = request.param.partition(":")
    missing = discover.describe("methods", name).missing
    if missing:
        pytest.skip(f"{name} {missing}")

    def trainer(device):
        words = [*WORDS, *([optimiser] if optimiser else [])]
        arm = Request([parse(name)], ["digits"], [0], "quick", words, tmp_path, recipe="none")
        data = load(prepare(open_dataset("digits"), tmp_path), device)
        made = Trainer(plan(arm, device)[0], data, device)
        made.measure_step(2)
        return name, made

    return trainer


def test_no_value_is_read_back_in_a_step(make, monkeypatch):
    """In what a step does on the device; the shares of processes and parts are worked out on the host."""
    monkeypatch.setattr(pipeline, "apply", pipeline.apply_to_batch)  # as on a GPU
    name, trainer = make(torch.device("cpu"))
    recorder = Recorder()

    def recorded(call):
        def inside(*arguments, **options):
            with recorder:
                return call(*arguments, **options)

        return inside

    views = [(pipeline, "draw"), (trainer.batches, "views")]
    parts = [*views, (trainer, "_accumulate"), (trainer.optimizer, "step"), (trainer.method, "after_step")]
    for owner, part in parts:
        monkeypatch.setattr(owner, part, recorded(getattr(owner, part)))
    trainer._step()
    assert bool(recorder.waiting) == (name in THEIRS), recorder.waiting


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_no_step_waits_for_the_gpu(make):
    name, trainer = make(torch.device("cuda"))
    if name in THEIRS_ON_GPU:
        pytest.skip(f"{name} reads values back")
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer._step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
