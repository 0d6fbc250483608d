"""Gathering over processes: order, gradient and inverse, with three gloo processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.methods._gather import gather, own_rows, world_size

PROCESSES = 3
SCRIPT = """
import sys
import torch
import torch.distributed as dist
from bench.methods._gather import gather, own_rows, world_size

rank, processes, rendezvous, result = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
torch.set_num_threads(1)
dist.init_process_group("gloo", f"file://{rendezvous}", rank=rank, world_size=processes)
rows = torch.arange(2.0 * processes * 4).reshape(2 * processes, 4)
# Columns of a wider matrix: not contiguous, as a projector's output may be.
mine = torch.cat([rows, rows], dim=1)[2 * rank : 2 * rank + 2, :4].requires_grad_()
whole = gather(mine)
(whole * (rank + 1) * rows).sum().backward()
torch.save(
    {
        "world_size": world_size(),
        "gathered": whole.detach(),
        "gradient": mine.grad,
        "own": own_rows(whole.detach()),
        "plain": gather(torch.tensor([rank])),
    },
    result,
)
"""


def test_one_process_gathers_nothing():
    z = torch.randn(3, 2)
    assert world_size() == 1
    assert gather(z) is z
    assert own_rows(z) is z


@pytest.mark.slow
def test_rows_come_in_order_of_rank_and_their_gradients_add_up(tmp_path):
    script, root = tmp_path / "script.py", Path(__file__).parents[2]
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, script, str(rank), str(PROCESSES), tmp_path / "rendezvous", tmp_path / f"{rank}.pt"],
            env=environment,
        )
        for rank in range(PROCESSES)
    ]
    assert [process.wait(timeout=120) for process in started] == [0] * PROCESSES
    rows = torch.arange(2.0 * PROCESSES * 4).reshape(2 * PROCESSES, 4)
    for rank in range(PROCESSES):
        result = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        mine = slice(2 * rank, 2 * rank + 2)
        assert result["world_size"] == PROCESSES
        assert torch.equal(result["gathered"], rows)
        assert torch.equal(result["own"], rows[mine])
        assert torch.equal(result["gradient"], (1 + 2 + 3) * rows[mine])
        assert result["plain"].tolist() == [0, 1, 2]
