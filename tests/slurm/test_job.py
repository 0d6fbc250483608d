"""What runs inside a job, with stand-ins for the cluster around it."""

import json
import os

import pytest

from bench import worker
from bench.commands import _options
from bench.errors import UserError
from bench.group import JOINING
from bench.slurm import job


@pytest.mark.parametrize("reference", ["smi", None])
def test_a_reference_without_a_run_leaves_a_report_without_it(tmp_path, monkeypatch, capsys, reference):
    written = []

    def write(outputs, destination, declared):
        if declared.reference is not None:
            raise UserError(f"No run of the reference '{declared.reference}' was found.")
        written.append(destination)

    monkeypatch.setattr(_options, "print_report", write)
    job.write_report(json.dumps({"output": str(tmp_path), "reference": reference}))
    assert written == [tmp_path / "report"]
    assert ("without that comparison" in capsys.readouterr().out) == (reference is not None)


def test_a_report_that_cannot_be_written_is_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        job.write_report(json.dumps({"output": str(tmp_path / "nothing"), "reference": None}))
    assert ended.value.code == 2
    assert capsys.readouterr().out.count("\n") == 1


def test_a_launcher_around_the_submitting_shell_is_not_inherited(monkeypatch):
    """RANK and its kind, which sbatch copies into the job, would have a run of one process wait for others."""
    seen = []
    monkeypatch.setattr(worker, "work_through", lambda request: seen.append(sorted(set(JOINING) & set(os.environ))))
    for name in JOINING:
        monkeypatch.setenv(name, "8")
    job._work({"runs": {}, "request": {}, "processes": 1})
    assert seen == [[]]
