"""Which pictures a run is pretrained on."""

import torch

from bench.arms import parse
from bench.data import load
from bench.datasets._store import prepare
from bench.plan import Request, open_dataset, plan
from bench.pretrain import Trainer

CPU = torch.device("cpu")
TINY = ["backbone.width=4", "projector.hidden=16", "projector.output=16", "batch_size=32", "epochs=2"]


def orders(tmp_path, *words, seed=0):
    """The pictures of two epochs, in the order in which they are taken."""
    request = Request([parse("smi")], ["digits"], [seed], "quick", [*TINY, *words], tmp_path, recipe="none")
    data = load(prepare(open_dataset("digits"), tmp_path), CPU)
    trainer = Trainer(plan(request, CPU)[0], data, CPU)
    return [trainer.batches.order.of(epoch).tolist() for epoch in range(2)], len(data.train)


def test_pretraining_sees_the_same_part_in_every_epoch_and_another_at_another_seed(tmp_path):
    (first, second), whole = orders(tmp_path, "data.fraction=0.25")
    assert sorted(first) == sorted(second)
    assert first != second
    assert abs(len(first) - whole / 4) < 10
    assert set(orders(tmp_path, "data.fraction=0.25", seed=1)[0][0]) != set(first)


def test_the_part_is_the_same_for_every_method_and_hangs_on_the_order_axis_alone(tmp_path):
    (fixed, _), _ = orders(tmp_path, "data.fraction=0.25", "seeds.order=0", seed=5)
    (free, _), _ = orders(tmp_path, "data.fraction=0.25")
    assert fixed == free


def test_the_whole_is_a_permutation_of_all(tmp_path):
    (first, _), whole = orders(tmp_path)
    assert sorted(first) == list(range(whole))
