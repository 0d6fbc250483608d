"""Synthetic run folders: made-up numbers, for tests of the report alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.reports.claims import Claim

Writer = Callable[..., Path]
TITLES = {
    "smi": "SMI (reconstructed)",
    "barlow": "Barlow Twins",
    "random": "Random encoder",
    "supervised": "Supervised",
}


@pytest.fixture
def write_run(tmp_path: Path) -> Writer:
    """Writes one run folder and returns it; `linear` None means that no score was reached."""

    def write(
        method: str,
        seed: int,
        linear: float | None = None,
        *,
        knn: float | None = None,
        status: str | None = "completed",
        reason: str | None = None,
        collapsed: bool = False,
        config: dict[str, Any] | None = None,
        shared: dict[str, Any] | None = None,
        environment: dict[str, Any] | None = None,
        fingerprint: str = "f" * 64,
        losses: list[float] | None = None,
        output: str = "runs",
        dataset: str = "imagewoof-160",
        cost: dict[str, float] | None = None,
        title: str | None = None,
        incidents: list[str] | None = None,
    ) -> Path:
        specification = {
            "protocol": "1",
            "dataset": {"name": "imagewoof:160", "key": "imagewoof-160", "fingerprint": fingerprint, "classes": 10},
            "method": {
                "name": method,
                "short_name": method,
                "title": title or TITLES.get(method, method),
                "version": "1",
                "config": config or {},
            },
            "backbone": {"name": "slim", "width": 32},
            "epochs": 10,
            "optimizer": {"name": "adamw", "lr": 0.002},
            "augment": {"scale": [0.2, 1.0]},
            "precision": "bfloat16",
            "seeds": {"init": None},
            "world_size": 1,
            **(shared or {}),
        }
        digest = hashlib.sha256(json.dumps(specification).encode()).hexdigest()[:8]
        identifier = f"{dataset}/{method}/{digest}/seed{seed}"
        folder = tmp_path / output / identifier
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(yaml.safe_dump({**specification, "seed": seed}, sort_keys=False))
        machine = {"python": "3.11", "torch": "2.15", "hardware": "synthetic CPU", "device": "cpu", "threads": 1}
        machine |= {"git_commit": "abc1234", "git_dirty": False, **(environment or {})}
        (folder / "environment.json").write_text(json.dumps(machine))
        knn_curve = [(linear or 0.1) * (1 - 0.5 ** (1 + epoch / 3)) + 0.002 * seed for epoch in range(10)]
        rows = [
            f"{epoch},{7 * epoch},{loss},0.001,1400,500,{'' if epoch % 3 else knn_curve[epoch]}"
            for epoch, loss in enumerate(losses or [2.0 / (1 + epoch) + 0.1 * seed for epoch in range(10)])
        ]
        header = "epoch,step,loss,learning_rate,images_per_second,memory_mib,knn_validation"
        (folder / "metrics.csv").write_text("\n".join([header, *rows]) + "\n")
        if status is not None:
            scores = {} if linear is None else {"linear": linear, "knn": linear - 0.03 if knn is None else knn}
            result = {
                "status": status,
                "reason": reason,
                "collapsed": collapsed,
                "incidents": incidents or [],
                "id": identifier,
                "scores": scores,
                "geometry": {"effective_rank": 40.0 + seed} if scores else {},
                "cost": {
                    "seconds": 81.2,
                    "images_per_second": 1400.0 + 10 * seed,
                    "peak_memory_mib": None,
                    **(cost or {}),
                },
            }
            (folder / "result.json").write_text(json.dumps(result))
        return folder

    return write


@pytest.fixture
def experiment(write_run: Writer, tmp_path: Path) -> Path:
    """Five seeds of three methods and two reference rows, with every kind of mishap; returns the output folder."""
    accuracies = {
        "barlow": [0.400, 0.412, 0.405, 0.409, 0.398],
        "smi": [0.431, 0.442, 0.428, 0.437, 0.433],
        "vicreg": [0.403, 0.411, 0.396, 0.409, 0.407],
        "random": [0.21, 0.215, 0.22],
        "supervised": [0.52, 0.53, 0.525],
    }
    for method, values in accuracies.items():
        for seed, value in enumerate(values):
            write_run(method, seed, value, config={"w": 10.0} if method == "smi" else {})
    for seed, value in enumerate([0.36, 0.39]):
        write_run("smi", seed, value, config={"w": 1.0}, collapsed=seed == 0)
    write_run("smi", 2, status="diverged", reason="loss is nan at step 21", config={"w": 1.0}, losses=[2.0, 9.0, 80.0])
    write_run("barlow", 5, status="failed", reason="out of memory")
    write_run("vicreg", 5, status=None)
    return tmp_path / "runs"


@pytest.fixture(scope="session")
def claim() -> Callable[..., Claim]:
    """Makes a claim of SMI over Barlow Twins on Imagewoof, less what is given."""

    def make(test: str = "superiority", **changes: object) -> Claim:
        values: dict[str, object] = {
            "name": "better",
            "words": "it is better",
            "source": "abstract",
            "hypothesis": "it is.",
            "study": "main",
            "arm": "smi",
            "against": ["barlow"],
            "metric": "scores.linear",
            "test": test,
            "elsewhere": "python -m bench study main",
            "datasets": ["imagewoof:160"],
            "seeds": 5,
        }
        return Claim(**{**values, **changes})  # type: ignore[arg-type]

    return make
