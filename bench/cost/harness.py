"""What the harness itself takes: planning many runs, starting, and the report of many runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from bench.arms import parse
from bench.cost.clock import repeated, take_turns
from bench.cost.record import Row
from bench.datasets._store import prepare
from bench.plan import Request, open_dataset, plan

ARMS = 20
PLANNED = 10_000
REPORTED = 1_000
RUNS = ("--methods", "smi,barlow,random", "--dataset", "digits", "--seeds", "1", "epochs=20", "backbone.width=4")
CPU = torch.device("cpu")


def measure(data_root: Path) -> Iterator[Row]:
    """Rows for `--help`, for planning a tenth of PLANNED runs of ARMS arms with their ids, and all of them, and for the
    report of REPORTED runs; of planning also the peak of Python's memory.

    The report is of copies, at other seeds, of small runs on digits that are made first. Of `--help`, which is another
    process, the wall time counts.
    """
    prepare(open_dataset("digits"), data_root)
    with tempfile.TemporaryDirectory() as folder:
        many = Path(folder, "runs")
        finished = Path(folder, "finished")
        _bench("run", *RUNS, "--data-root", str(data_root), "--output", str(finished))
        copies = _copies(finished, many)
        contenders = {
            "--help": lambda: _bench("--help"),
            f"planning {PLANNED // 10:,} runs": lambda: _plan(PLANNED // 10, data_root),
            f"planning {PLANNED:,} runs": lambda: _plan(PLANNED, data_root),
            f"report of {copies:,} runs": lambda: _report(many, Path(folder, "report")),
        }
        for stage, call in contenders.items():
            times = take_turns({stage: repeated(call)}, CPU, rounds=3)[stage]
            memory = {"memory_mib": _peak_mib(call)} if stage.startswith("planning") else {}
            yield {"what": "harness", "stage": stage, **times.numbers(), **memory}


def _plan(runs: int, data_root: Path) -> set[str]:
    request = Request(
        methods=[parse(f"smi:w={weight + 1}") for weight in range(ARMS)],
        datasets=["digits"],
        seeds=list(range(runs // ARMS)),
        preset="quick",
        words=[],
        data_root=data_root,
        recipe="none",
    )
    return {spec.id for spec in plan(request, CPU)}


def _peak_mib(call: Callable[[], object]) -> float:
    """The most memory that Python's objects take at once meanwhile, beyond what they took before."""
    tracemalloc.start()
    call()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 2**20


def _bench(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "bench", *words], capture_output=True, check=True)


def _report(runs: Path, destination: Path) -> None:
    from bench.reports.declared import Declared
    from bench.reports.page import EVERYTHING, write_report

    write_report([runs], destination, Declared(None), EVERYTHING)


def _copies(finished: Path, output: Path) -> int:
    """Fill `output` with REPORTED runs that differ from those of `finished` in the seed alone; their number."""
    originals = [path.parent for path in sorted(finished.glob("*/*/*/seed0/result.json"))]
    for original in originals:
        for seed in range(REPORTED // len(originals)):
            run_id = str(original.relative_to(finished).parent / f"seed{seed}")
            copy = output / run_id
            shutil.copytree(original, copy)
            config, result = copy / "config.yaml", copy / "result.json"
            config.write_text(config.read_text().replace("\nseed: 0\n", f"\nseed: {seed}\n"))
            result.write_text(json.dumps({**json.loads(result.read_text()), "id": run_id}))
    return len(originals) * (REPORTED // len(originals))
