"""`status`: how far every run of an output folder is, from its files alone."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from bench.errors import UserError
from bench.store import RunFolder, in_words

HELP = "Show how far every run of an output folder is."
EXAMPLES = """examples:
  python -m bench status
  python -m bench status runs/monday
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "output", nargs="?", type=Path, default=Path("runs"), metavar="DIR", help="output folder; default runs"
    )


def main(arguments: argparse.Namespace) -> int:
    output: Path = arguments.output
    ids = sorted(str(path.parent.relative_to(output)) for path in output.glob("*/*/*/seed*/config.yaml"))
    if not ids:
        raise UserError(f"There are no runs under {output}; `python -m bench run` makes some.")
    width = max(map(len, ids))
    for run_id in ids:
        print(f"{run_id:<{width}}  {_state(RunFolder(output, run_id))}")
    return 0


def _state(folder: RunFolder) -> str:
    try:
        result = folder.result()
    except UserError as error:
        return str(error)
    if result is None:
        return f"{'running' if folder.lock.is_held() else 'stopped'}, {_last_epoch(folder.path)}"
    return in_words(result)


def _last_epoch(folder: Path) -> str:
    import yaml

    epochs = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))["epochs"]
    metrics = folder / "metrics.csv"
    rows = list(csv.DictReader(metrics.read_text(encoding="utf-8").splitlines())) if metrics.exists() else []
    if not rows:
        return f"epoch 0 of {epochs}"
    last = rows[-1]
    rate = float(last["images_per_second"])
    return f"epoch {last['epoch']} of {epochs}, loss {float(last['loss']):.4g}, {rate:.0f} images/s"
