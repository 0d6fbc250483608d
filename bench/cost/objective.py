"""Objectives alone, forward and backward, over a grid of batch size B and width D: time, memory, operations."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from tqdm import tqdm

from bench import discover
from bench.api import Context, Method, Projector
from bench.cost.clock import repeated, take_turns
from bench.cost.counters import gigaflops, peak_tensor_mib
from bench.cost.record import Row
from bench.errors import UserError
from bench.methods import barlow
from bench.methods._momentum import Momentum

CLASSES = 10
STEPS_PER_EPOCH = 200
"""Queues and prototypes are sized by an epoch: of 50,000 pictures at a batch of 256, as on CIFAR-10."""
HEADS = ("projector", "predictor", "mlp")
"""Modules around the objective that are taken out; `mlp` is the part of DINO's head before its prototypes."""
ROUNDS = 11
SECONDS = 2.0
"""A cell is repeated until this much time has passed, at least three times unless one call takes longer."""


def measure(
    methods: Sequence[str],
    others: Mapping[str, nn.Module],
    batch_sizes: Sequence[int],
    widths: Sequence[int],
    device: torch.device,
) -> Iterator[Row]:
    """A row for every method, batch size and width; methods that train nothing have none.

    `others` are loss modules called with both embeddings, by `<library>/<method>` or `<method>, <form>`.
    At every batch size and width all take turns.
    """
    cells = list(itertools.product(widths, batch_sizes))
    for width, batch in tqdm(cells, desc="objectives", unit="cell", disable=None, delay=2):
        calls = {}
        for name in [*methods, *others]:
            call = _other(others[name], batch, width, device) if name in others else own(name, batch, width, device)
            if call is not None:
                calls[name] = call
        for name, times in take_turns(
            {name: repeated(call) for name, call in calls.items()}, device, ROUNDS, SECONDS * len(calls)
        ).items():
            yield {
                "what": "objective",
                "method": name,
                "batch": batch,
                "width": width,
                **times.numbers(),
                "memory_mib": peak_tensor_mib(calls[name], device),
                "gflop": gigaflops(calls[name]),
            }


def both_forms(methods: Sequence[str]) -> dict[str, nn.Module]:
    """Barlow Twins in each of its forms at every B and D, where it is among the methods, which take the cheaper."""
    forms = {"barlow, D x D": "features", "barlow, B x B": "samples"}
    return {name: _Barlow(form) for name, form in forms.items()} if "barlow" in methods else {}


class _Barlow(nn.Module):
    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form

    def forward(self, za: Tensor, zb: Tensor) -> Tensor:
        return barlow.objective(za, zb, barlow.Config.lambda_, form=self.form)[0]


def own(name: str, batch: int, width: int, device: torch.device, config: object = None) -> Callable[[], object] | None:
    """Forward and backward of a method's objective on ready embeddings (B, D), and what follows a step (queues).

    `config` is the method's default where none is given. None where it trains nothing or cannot work at this B and D.
    explicit_mi, MoCo and W-MSE have embeddings of their own width, at which they are measured. Encoder, projector and
    predictor are the identity, a momentum target stands still; what else belongs to the loss (queue, prototypes,
    Sinkhorn's iterations) stays.
    """
    cls: type[Method] = discover.load("methods", name)
    context = Context(
        config=cls.Config() if config is None else config,
        feature_dim=width,
        projector=Projector(hidden=8, output=width, layers=1),
        num_classes=CLASSES,
        total_steps=10 * STEPS_PER_EPOCH,
        steps_per_epoch=STEPS_PER_EPOCH,
        batch_size=batch,
    )
    try:
        cls.check(context)
    except UserError:
        return None
    if not cls.trains:
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        method = cls(nn.Identity(), context)
    views = _embeddings(batch, _projected_width(method, width), device)
    _take_heads_out(method)
    method.to(device)
    indices = torch.arange(batch, device=device)
    labels = indices % CLASSES if method.needs_labels else None

    def forward_backward() -> None:
        loss, _ = method(views, indices, labels)
        loss.backward()
        method.after_step(0.5)
        _drop_gradients([*views, *method.parameters()])

    return forward_backward


def _other(loss: nn.Module, batch: int, width: int, device: torch.device) -> Callable[[], object]:
    views = _embeddings(batch, width, device)
    loss = loss.to(device)

    def forward_backward() -> None:
        loss(*views).backward()
        _drop_gradients(views)

    return forward_backward


def exponents(rows: Sequence[Row], column: str) -> dict[str, tuple[float, float]]:
    """By method the log-log slopes of `column` in B, at the middle width, and in D, at the middle batch size.

    Slopes of the least-squares line through the logarithms; NaN where a method has fewer than two such cells.
    """
    batches, widths = (sorted({row[axis] for row in rows}) for axis in ("batch", "width"))
    middle = {"batch": batches[len(batches) // 2], "width": widths[len(widths) // 2]}
    slopes = {}
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        along_batch = [(row["batch"], row[column]) for row in own if row["width"] == middle["width"]]
        along_width = [(row["width"], row[column]) for row in own if row["batch"] == middle["batch"]]
        slopes[method] = (_slope(along_batch), _slope(along_width))
    return slopes


def crossings(rows: Sequence[Row], column: str, first: str, other: str) -> dict[int, list[float]]:
    """By width the batch sizes at which both methods have the same `column`: none, or where between two measured ones
    the logarithm of their ratio, a line in that of B, is zero."""
    found: dict[int, list[float]] = {}
    for width in sorted({row["width"] for row in rows}):
        own, others = (
            {r["batch"]: r[column] for r in rows if (r["method"], r["width"]) == (name, width)}
            for name in (first, other)
        )
        points = [(math.log(b), math.log(own[b] / others[b])) for b in sorted(own) if b in others]
        found[width] = [
            math.exp(x0 - y0 * (x1 - x0) / (y1 - y0))
            for (x0, y0), (x1, y1) in itertools.pairwise(points)
            if (y0 < 0) != (y1 < 0)
        ]
    return found


def _slope(points: Sequence[tuple[float, float]]) -> float:
    positive = [(math.log(x), math.log(y)) for x, y in points if y > 0]
    if len({x for x, _ in positive}) < 2:
        return math.nan
    return statistics.linear_regression(*zip(*positive, strict=True)).slope


def _embeddings(batch: int, width: int, device: torch.device) -> list[Tensor]:
    """Two correlated views (B, D), leaves."""
    generator = torch.Generator().manual_seed(0)
    shared, *noise = torch.randn(3, batch, width, generator=generator)
    return [(shared + 0.7 * part).to(device).requires_grad_() for part in noise]


def _drop_gradients(tensors: Sequence[Tensor]) -> None:
    for tensor in tensors:
        tensor.grad = None


def _projected_width(method: Method, width: int) -> int:
    """Width that the projector of a method makes of `width`."""
    projector = getattr(method, "projector", nn.Identity())
    linear = [part for part in projector.modules() if isinstance(part, nn.Linear)]
    return linear[-1].out_features if linear else width


def _take_heads_out(method: Method) -> None:
    """Put the identity in the place of heads, here and in momentum copies of the network, which no longer move."""
    for module in list(method.modules()):
        for name in HEADS:
            if hasattr(module, name):
                setattr(module, name, nn.Identity())
        if isinstance(module, Momentum):
            module.update = lambda progress: None  # type: ignore[method-assign]
            if isinstance(module.target[1], nn.Sequential):
                module.target[1] = nn.Identity()
