"""A worker's runs: whose fault it is that one cannot be carried out."""

import pytest
import torch

from bench import discover, worker
from bench.arms import parse
from bench.errors import UserError
from bench.plan import Request, plan

WORDS = ["epochs=1", "backbone.width=4", "projector.hidden=8", "projector.output=8"]


def test_a_method_that_was_edited_after_the_plan_is_no_failure_of_its_runs_and_the_others_go_on(tmp_path):
    """They were recorded as failed, under ids that no later command cleared."""
    method = tmp_path / "mine.py"
    method.write_text((discover.folder("methods") / "barlow.py").read_text())
    arms = [parse(f"file:{method}"), parse("random")]
    specs = plan(Request(arms, ["digits"], [0], "quick", WORDS, tmp_path), torch.device("cpu"))
    request = {"output": str(tmp_path / "out"), "data_root": str(tmp_path), "store_root": None, "threads": 1}
    request |= {"checkpoint_seconds": 120.0, "runs": [spec.canonical() for spec in specs]}
    for edit, message in ((lambda: method.write_text("# new"), "was edited"), (method.unlink, "there is no Python")):
        edit()
        with pytest.raises(UserError, match=message):
            worker._work_through(request, torch.device("cpu"))
        assert [path.parts[-4] for path in tmp_path.glob("out/**/result.json")] == ["random"]
        assert not list(tmp_path.glob("out/**/lock"))
