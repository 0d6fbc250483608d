"""What of a step its objective is: the run's own, once for every part of its batch."""

import torch

from bench.arms import parse
from bench.cost import objective, turns
from bench.plan import Request, plan

CPU = torch.device("cpu")
WORDS = ["backbone.width=4", "projector.hidden=8", "projector.output=16", "batch_size=64", "accumulate=2", "epochs=1"]


def test_the_objective_is_the_runs_own_and_is_taken_for_every_part(tmp_path, monkeypatch):
    (spec,) = plan(Request([parse("smi:form=fisher")], ["digits"], [0], "quick", WORDS, tmp_path, recipe="none"), CPU)
    asked, calls = [], []

    def own(name, batch, width, device, config):
        asked.append((name, batch, width, config.form))
        return lambda: calls.append(1)

    monkeypatch.setattr(objective, "own", own)
    turns._objective(spec, CPU)()
    assert asked == [("smi", 32, 16, "fisher")]
    assert len(calls) == 2
    monkeypatch.setattr(objective, "own", lambda *_: None)
    assert turns._objective(spec, CPU) is None
