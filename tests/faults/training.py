"""Some steps of pretraining as one of N processes; a script that test_several_processes.py starts N times.

Arguments: rank, number of processes, file for the rendezvous, file for the result, store folder, canonical
specification, and at which step this process alone is asked to stop (-1: never). The result has what the method was
given in every step, the metrics, the final weights and the step at which the run was.
"""

import contextlib
import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from bench import interrupt
from bench.data import load
from bench.datasets._store import open_store
from bench.hardware import prepare_process
from bench.interrupt import Interrupted
from bench.plan import open_dataset
from bench.pretrain import Trainer
from bench.spec import RunSpec


def still(trainer):
    """Batch normalisation with its initial statistics: those of a batch exist over processes on GPUs alone."""

    def train(mode=True):
        torch.nn.Module.train(trainer.method, mode)
        for module in trainer.method.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.eval()

    trainer.method.train = train


def main():
    rank, processes, rendezvous, result, data_root, text, stop_at = sys.argv[1:]
    spec, device = RunSpec.from_canonical(json.loads(text)), torch.device("cpu")
    prepare_process(device, 1)
    if int(processes) > 1:
        dist.init_process_group("gloo", f"file://{rendezvous}", rank=int(rank), world_size=int(processes))
    data = load(open_store(open_dataset(spec.dataset.name), Path(data_root)), device)
    trainer = Trainer(spec, data, device)
    still(trainer)
    seen, forward = [], trainer.method.forward

    def watched(views, indices, labels):
        seen.append((indices, [view.clone() for view in views]))
        if trainer.progress.step == int(stop_at):
            interrupt.request()
        return forward(views, indices, labels)

    trainer.method.forward = watched
    with contextlib.suppress(Interrupted):
        trainer.train(lambda: {"knn_validation": 0.5}, lambda: None, lambda: None, 1e9)
    state = {name: value for name, value in trainer.method.state_dict().items() if value.is_floating_point()}
    rows = [{"epoch": row["epoch"], "loss": row["loss"]} for row in trainer.progress.rows]
    torch.save({"seen": seen, "rows": rows, "state": state, "step": trainer.progress.step}, result)


if __name__ == "__main__":
    main()
