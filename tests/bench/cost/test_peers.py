"""Other libraries' training loop, as this suite runs it."""

import pytest
import torch
from torch import nn

from bench.cost import peers
from bench.cost.peers import _loop
from bench.errors import UserError

CPU = torch.device("cpu")


@pytest.fixture
def ours(monkeypatch):
    """This suite's own switch, put back at the end."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def test_a_turn_is_in_torchs_own_arithmetic_and_ours_comes_back(ours):
    seen = []

    def loss(first, second):
        seen.append(torch.backends.cudnn.allow_tf32)
        if len(seen) == 3:
            raise RuntimeError("a peer failed")
        return (first - second).square().mean()

    network = nn.Linear(3, 2)
    before = network.weight.clone()
    batches = [list(torch.randn(2, 4, 3)) for _ in range(2)]
    steps = _loop(network, loss, torch.optim.SGD(network.parameters(), lr=0.1), batches, CPU, "float32")
    steps(2)
    assert not torch.equal(network.weight, before)
    assert torch.backends.cudnn.allow_tf32 is False
    with pytest.raises(RuntimeError, match="a peer failed"):
        steps(1)
    assert torch.backends.cudnn.allow_tf32 is False
    assert seen == [True] * 3


def test_a_lightly_without_what_it_needs_is_named(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named 'lightning_utilities', which {name} imports")

    monkeypatch.setattr(peers, "installed", lambda: ["lightly"])
    monkeypatch.setattr(peers.importlib, "import_module", missing)
    with pytest.raises(UserError, match=r"lightning_utilities', which lightly.loss imports.*`pip install lightly`"):
        peers.losses()
