"""Three training steps of every method as one of N processes; a script that test_processes.py starts N times.

Arguments: rank, number of processes, file for the rendezvous, file for the result, arms, whose setting of
`augment.local_views` here means a third, smaller view.
"""

import dataclasses
import sys

import torch
import torch.distributed as dist
import yaml

from bench import discover
from bench.api import Context, Projector
from bench.arms import parse

BATCH, SIZE, CLASSES, STEPS = 8, 8, 4, 3


class Encoder(torch.nn.Module):
    feature_dim = 6

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3 * SIZE * SIZE, self.feature_dim)

    def forward(self, images):
        whole = torch.nn.functional.interpolate(images, SIZE)
        return torch.tanh(self.linear(whole.flatten(1)))


def trajectory(arm, rank, processes):
    """Losses, gradients of this process's views, and the final state, of plain gradient descent in float64."""
    cls = discover.load("methods", parse(arm).method)
    settings = dict(setting.split("=") for setting in parse(arm).settings)
    third = settings.pop("augment.local_views", None)
    sides = [SIZE, SIZE] if third is None else [SIZE, SIZE, SIZE // 2]
    if "gather" in {field.name for field in dataclasses.fields(cls.Config)}:
        settings["gather"] = "true"
    config = cls.Config(**{key: yaml.safe_load(text) for key, text in settings.items()})
    torch.manual_seed(0)
    shape = Projector(hidden=8, output=5, layers=3)
    context = Context(config, Encoder.feature_dim, shape, CLASSES, total_steps=100, steps_per_epoch=2, batch_size=BATCH)
    method = cls(Encoder(), context).double()
    for module in method.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.eval()  # synchronised batch statistics exist on GPUs only; the objective is what is compared here
    losses, gradients = [], []
    for step in range(STEPS):
        generator = torch.Generator().manual_seed(step)
        whole = [torch.randn(BATCH, 3, side, side, generator=generator, dtype=torch.float64) for side in sides]
        labels = torch.randint(CLASSES, (BATCH,), generator=generator).chunk(processes)[rank]
        views = [view.chunk(processes)[rank].clone().requires_grad_() for view in whole]
        loss, _ = method(views, torch.arange(BATCH).chunk(processes)[rank], labels if method.needs_labels else None)
        losses.append(loss.detach())
        if not method.trains:
            continue
        loss.backward()
        gradients += [torch.zeros_like(view) if view.grad is None else view.grad for view in views]
        descend(method, processes)
        method.after_step((step + 1) / 100)
    return {"losses": losses, "gradients": gradients, "state": method.state_dict()}


@torch.no_grad()
def descend(method, processes):
    """One step along the gradient averaged over processes, as DistributedDataParallel gives it."""
    for parameter in method.parameters():
        if parameter.grad is not None:
            if processes > 1:
                dist.all_reduce(parameter.grad)
            parameter -= 1e-3 * parameter.grad / processes
            parameter.grad = None


if __name__ == "__main__":
    rank, processes, rendezvous, result, *arms = sys.argv[1:]
    torch.set_num_threads(1)
    if int(processes) > 1:
        dist.init_process_group("gloo", f"file://{rendezvous}", rank=int(rank), world_size=int(processes))
    torch.save({arm: trajectory(arm, int(rank), int(processes)) for arm in arms}, result)
