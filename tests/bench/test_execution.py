"""How many runs go side by side on a machine, and how many threads each of their processes has."""

from argparse import ArgumentParser
from pathlib import Path

import pytest
import torch

from bench import group, hardware
from bench.commands._options import add_data_options, add_execution_options, execution_of
from bench.errors import UserError


@pytest.fixture
def execution(monkeypatch):
    """Of so many runs on a machine of so many cores and GPUs (on a CPU where there are none)."""

    def of(*words, runs, cores, gpus=0):
        monkeypatch.setattr(hardware, "cores", lambda: cores)
        monkeypatch.setattr(group, "gpus", lambda device: [str(number) for number in range(gpus)])
        parser = ArgumentParser()
        add_data_options(parser)
        add_execution_options(parser)
        arguments = parser.parse_args(words)
        arguments.output = Path("runs")
        found = execution_of(arguments, torch.device("cuda" if gpus else "cpu"), runs)
        return found.jobs, found.threads

    return of


@pytest.mark.parametrize(
    ("words", "runs", "jobs", "threads"),
    [
        ([], 20, 8, 1),
        ([], 3, 3, 2),
        ([], 1, 1, 8),
        (["--jobs", "2"], 20, 2, 4),
        (["--jobs", "20"], 20, 20, 1),
        (["--processes", "2"], 20, 4, 1),
        (["--processes", "2"], 1, 1, 4),
        (["--processes", "2", "--jobs", "2"], 20, 2, 2),
        (["--processes", "16"], 20, 1, 1),
    ],
)
def test_the_cores_are_shared_among_the_processes_of_the_runs_side_by_side(execution, words, runs, jobs, threads):
    assert execution(*words, runs=runs, cores=8) == (jobs, threads)


@pytest.mark.parametrize(
    ("words", "runs", "gpus", "jobs", "threads"),
    [([], 20, 4, 4, 4), ([], 1, 4, 1, 16), (["--processes", "2"], 20, 4, 2, 4), (["--jobs", "8"], 20, 4, 8, 2)],
)
def test_on_gpus_a_run_has_one_for_each_of_its_processes(execution, words, runs, gpus, jobs, threads):
    assert execution(*words, runs=runs, cores=16, gpus=gpus) == (jobs, threads)


@pytest.mark.parametrize("words", [["--jobs", "0"], ["--jobs", "-2"], ["--checkpoint-seconds", "-1"]])
def test_numbers_out_of_range_are_refused(execution, words):
    with pytest.raises(UserError, match=words[0]):
        execution(*words, runs=1, cores=8)
