"""Finished runs without training: encoders as initialised, on coloured squares drawn for the purpose."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from bench import backbones
from bench.analysis.runs import Where
from bench.arms import parse
from bench.plan import Request, plan

COLORS = {"blue": (40, 60, 250), "red": (250, 50, 40), "green": (30, 220, 60)}
WORDS = [
    "epochs=1",
    "batch_size=8",
    "image_size=16",
    "backbone.width=4",
    "projector.hidden=16",
    "projector.output=16",
    "precision=float32",
]


def draw_pictures(root: Path, size: tuple[int, int] = (24, 32), shade: float = 1.0) -> Path:
    """`root`/{train,test}/<colour>/<colour>_<k>.png: a noisy colour over the whole picture; `size` is (height, width).
    With `shade` 0 they are black but for the noise."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 8)):
        for name, color in COLORS.items():
            folder = root / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                noise = generator.integers(-20, 20, (*size, 3))
                pixels = (np.array(color) * shade + noise).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{name}_{split}{index}.png")
    return root


def write_runs(tmp: Path, pictures: Path, methods: list[str], seeds: list[int]) -> list[Path]:
    """Run folders as `bench run` leaves them, in tmp/runs, with encoders as they were initialised."""
    request = Request([parse(name) for name in methods], [f"folder:{pictures}"], seeds, "quick", WORDS, tmp / "data")
    folders = []
    for spec in plan(request, torch.device("cpu")):
        folder = tmp / "runs" / spec.id
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(yaml.safe_dump(spec.canonical(), sort_keys=False))
        (folder / "environment.json").write_text(json.dumps({"torch": "2", "hardware": "none"}))
        backbone = spec.protocol.backbone
        encoder = backbones.build(backbone.name, backbone.width, spec.protocol.image_size, spec.axis_seed("init"))
        save_file(
            {name: value.contiguous() for name, value in encoder.state_dict().items()}, folder / "encoder.safetensors"
        )
        pairs = [",positive_correlation,negative_correlation", ",0.3,0.1", ",0.4,0.1"]
        head, first, second = pairs if spec.method.name == "smi" else ("", "", "")
        (folder / "metrics.csv").write_text(
            f"epoch,step,loss,alignment,invariance,redundancy,geometry.effective_rank,geometry.alignment{head}\n"
            f"1,7,0.5,0.4,0.4,0.01,{5 + spec.seed},0.3{first}\n2,14,0.4,0.3,0.3,0.02,{6 + spec.seed},0.2{second}\n"
        )
        result = {"status": "completed", "reason": None, "collapsed": False, "id": spec.id}
        result |= {"scores": {"linear": 0.5 + 0.01 * spec.seed, "knn": 0.5}, "geometry": {}, "cost": {}}
        (folder / "result.json").write_text(json.dumps({**result, "probe": {"strength": 0.01, "converged": True}}))
        folders.append(folder)
    return folders


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_pictures(tmp_path_factory.mktemp("pictures") / "squares")


@pytest.fixture(scope="session")
def darkness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_pictures(tmp_path_factory.mktemp("pictures") / "dark", shade=0.0)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> list[Path]:
    """smi, barlow and random at two seeds; the encoders of one seed are the same."""
    return write_runs(tmp_path_factory.mktemp("finished"), pictures, ["smi", "barlow", "random"], [0, 1])


@pytest.fixture(scope="session")
def where(runs: list[Path]) -> Where:
    return Where(runs[0].parents[4] / "data", None, False, torch.device("cpu"))
