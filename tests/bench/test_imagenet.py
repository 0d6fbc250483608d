"""The settings for ImageNet and ResNet-50 on a handful of pictures: planned, estimated, and a few real steps taken."""

import json

import numpy as np
import pytest
from PIL import Image

from bench.cli import main

SETTINGS = ["--preset", "paper", "--recipe", "imagenet", "--backbone", "resnet50", "--epochs", "1", "--seeds", "1"]
SMALL = ["--batch-size", "4", "image_size=64", "evaluate.curve_points=0"]


@pytest.mark.soak
def test_a_few_steps_of_resnet50_with_published_settings(tmp_path, capsys):
    random = np.random.default_rng(0)
    for part, count in (("train", 10), ("val", 3)):
        for name in ("a", "b"):
            folder = tmp_path / "pictures" / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 256, (96, 128, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    words = ["run", "--methods", "smi,barlow", "--dataset", f"folder:{tmp_path / 'pictures'}", *SETTINGS, *SMALL]
    words += ["--output", str(tmp_path / "runs"), "--data-root", str(tmp_path / "data"), "--device", "cpu"]
    assert main([*words, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "resnet50" in out
    assert "Left: about" in out
    assert not (tmp_path / "runs").exists()
    assert main(words) == 0
    results = [json.loads(path.read_text()) for path in tmp_path.glob("runs/*/*/*/seed0/result.json")]
    assert [result["status"] for result in results] == ["completed"] * 2
    assert all(result["cost"]["parameters_encoder"] > 23e6 for result in results)
