"""On a real SLURM: what users do, and what clusters do to their jobs."""

import csv
import json
import os
import stat

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slurm

SLOW = '''"""A loss whose steps take their time, on a fast machine as on a busy one, while a file says so."""

import time
from dataclasses import dataclass
from pathlib import Path

from bench.methods._joint_embedding import JointEmbedding


@dataclass(frozen=True)
class Config:
    pass


class Slow(JointEmbedding):
    Config = Config

    def objective(self, za, zb):
        if Path(__file__).with_name("slow-it").exists():
            time.sleep(0.25)
        if Path(__file__).with_name("break-it").exists():
            raise ValueError("the pictures are upside down")
        return (za - zb).square().mean() - za.std() - zb.std(), {}
'''
SMALL = (
    "--batch-size=16",
    "--backbone=slim",
    "--recipe=none",
    "backbone.width=4",
    "image_size=8",
    "precision=float32",
    "evaluate.curve_points=0",
    "projector.hidden=16",
    "projector.output=16",
)


LONG = 120
"""Epochs of two steps each."""


@pytest.fixture
def place(tmp_path):
    """A folder with a few pictures, a slow method and a profile that gives each job a node of its own."""
    (tmp_path / "slow-it").touch()
    return _furnish(tmp_path)


@pytest.fixture(scope="module")
def uninterrupted(cluster, tmp_path_factory):
    """The run folder of `on_cluster(place, epochs=LONG)` as it comes of one go."""
    place = _furnish(tmp_path_factory.mktemp("uninterrupted"))
    cluster.bench(*on_cluster(place, "--wait", epochs=LONG))
    assert "attempt 2" not in logs(place)
    return only_run(place)


def _furnish(folder):
    generator = np.random.default_rng(0)
    for split, count in (("train", 20), ("val", 6)):
        for label, colour in enumerate(([200, 40, 40], [40, 200, 40])):
            pictures = folder / "pictures" / split / f"class{label}"
            pictures.mkdir(parents=True)
            for number in range(count):
                pixels = np.clip(generator.normal(colour, 40, (8, 8, 3)), 0, 255).astype("uint8")
                Image.fromarray(pixels).save(pictures / f"{number}.png")
    (folder / "slow.py").write_text(SLOW)
    (folder / "test.yaml").write_text("cpus: 1\ngpus: 0\ntime: 60\nsbatch: {exclusive: ''}\n")
    return folder


def plan(place, *words, methods="", epochs=2, seeds=1):
    """Words of `run` but for the executor; the output is `place/runs`."""
    data = [f"--dataset=folder:{place}/pictures", f"--data-root={place}/data", f"--output={place}/runs"]
    plural = [f"--methods={methods or f'file:{place}/slow.py'}", f"--epochs={epochs}", f"--seeds={seeds}"]
    return ["run", *data, *plural, "--device=cpu", "--checkpoint-seconds=1", *SMALL, *words]


def on_cluster(place, *words, **options):
    return plan(place, "--executor=slurm", f"--profile={place}/test.yaml", *words, **options)


def submission(place):
    return json.loads(max((place / "runs/.slurm").glob("*/submission.json")).read_text())


def only_run(place):
    (config,) = (place / "runs").glob("*/*/*/seed0/config.yaml")
    return config.parent


def has_begun(place):
    """Whether the first epoch of the only run is done: interrupting it now loses something."""
    return list((place / "runs").glob("*/*/*/seed0/metrics.csv"))


def logs(place):
    return "".join(path.read_text() for path in sorted((place / "runs/.slurm").glob("*/*_log.out")))


def assert_same(run, reference):
    """Encoder, predictions, scores and losses are the same, bit for bit; times and memory are not compared."""
    results = [json.loads((folder / "result.json").read_text()) for folder in (run, reference)]
    for key in ("id", "status", "scores", "geometry", "probe"):
        assert results[0][key] == results[1][key]
    assert (run / "encoder.safetensors").read_bytes() == (reference / "encoder.safetensors").read_bytes()
    predictions = [dict(np.load(folder / "predictions.npz")) for folder in (run, reference)]
    assert predictions[0].keys() == predictions[1].keys()
    assert all((predictions[0][name] == predictions[1][name]).all() for name in predictions[0])
    columns = ("epoch", "step", "loss", "learning_rate")
    rows = [list(csv.DictReader((folder / "metrics.csv").open())) for folder in (run, reference)]
    losses = [[[row[column] for column in columns] for row in each] for each in rows]
    assert losses[0] == losses[1]
    assert len(losses[0]) == LONG


@pytest.mark.slow
def test_an_array_over_two_nodes_gives_the_table(cluster, place):
    said = cluster.bench(*on_cluster(place, "--wait", methods="smi,random", seeds=2))
    assert "Submitted 4 runs as 4 jobs" in said
    assert "completed" in said
    assert "| Random encoder" in said
    assert (place / "runs/report/report.html").exists()
    assert {"on node1", "on node2"} <= {
        f"on {line.split(' on ')[1].split(',')[0]}" for line in logs(place).splitlines() if line.startswith("Job ")
    }
    assert f"Nothing to submit; `python -m bench report {place}/runs` writes the report." in cluster.bench(
        *on_cluster(place, methods="smi,random", seeds=2)
    )


@pytest.mark.slow
def test_packed_runs_share_a_job_and_its_gpu(cluster, place, wait_until):
    said = cluster.bench(*on_cluster(place, "--pack=2", "slurm.gpus=1", methods="smi,random"))
    assert "Submitted 2 runs as 1 job" in said
    (job,) = submission(place)["jobs"]
    shown = cluster.command("scontrol", "show", "job", job)
    assert "NumTasks=2" in shown
    assert "gres/gpu=1" in shown or "gpu:1" in shown
    wait_until(lambda: "2 completed" in cluster.bench("status", f"{place}/runs"))
    assert len(list((place / "runs/.slurm").glob(f"*/{job}_*_log.out"))) == 2


@pytest.mark.soak
def test_a_run_in_two_processes(cluster, place):
    cluster.bench(*on_cluster(place, "--wait", "--processes=2", methods="smi"))
    assert (only_run(place) / "result.json").exists()
    assert "process 1" in logs(place)


@pytest.mark.slow
def test_a_run_in_two_processes_on_two_nodes(cluster, place):
    """Whose names the system does not know."""
    cluster.bench(*on_cluster(place, "--wait", "--processes=2", "slurm.nodes=2", methods="smi"))
    assert (only_run(place) / "result.json").exists()
    assert "on node1, attempt 1, process 0" in logs(place)
    assert "on node2, attempt 1, process 1" in logs(place)
    assert "unfinished" not in logs(place)


@pytest.mark.slow
def test_a_preempted_run_goes_on_as_if_nothing_had_been(cluster, place, uninterrupted, wait_until):
    words = on_cluster(place, "--partition=low", epochs=LONG)
    cluster.bench(*words)
    wait_until(lambda: has_begun(place))
    assert "carried out by jobs submitted before" in cluster.bench(*words)  # and nothing is done twice
    assert len(list((place / "runs/.slurm").glob("*/submission.json"))) == 1
    cluster.command("sbatch", "-p", "high", "-N", "2", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 2")
    wait_until(lambda: "the job is queued again" in logs(place))
    assert "queued" in cluster.bench("status", f"{place}/runs")
    (place / "slow-it").unlink()
    wait_until(lambda: (only_run(place) / "result.json").exists())
    assert "the state is saved, the job is queued again" in logs(place)
    assert "attempt 2" in logs(place)
    assert_same(only_run(place), uninterrupted)


@pytest.mark.soak
def test_a_run_goes_on_that_an_administrator_queued_again(cluster, place, uninterrupted, wait_until):
    """SLURM then ends the job without the notice that its profile asks for."""
    cluster.bench(*on_cluster(place, epochs=LONG))
    wait_until(lambda: has_begun(place) and list(only_run(place).glob("checkpoint*.pt")))
    (job,) = submission(place)["jobs"]
    cluster.command("scontrol", "requeue", job)
    (place / "slow-it").unlink()
    wait_until(lambda: (only_run(place) / "result.json").exists())
    assert "attempt 2" in logs(place)
    assert_same(only_run(place), uninterrupted)


@pytest.mark.slow
def test_a_run_goes_on_after_its_time_limit(cluster, place, uninterrupted, wait_until):
    cluster.bench(*on_cluster(place, "--time=1", "slurm.notice=45", "slurm.requeue=20", epochs=LONG))
    wait_until(lambda: "attempt 3" in logs(place) and has_begun(place), seconds=600)  # the first notice may come early
    (place / "slow-it").unlink()
    wait_until(lambda: (only_run(place) / "result.json").exists())
    assert_same(only_run(place), uninterrupted)


@pytest.mark.slow
def test_a_run_goes_on_when_its_node_dies(cluster, place, uninterrupted, wait_until):
    cluster.bench(*on_cluster(place, epochs=LONG))
    wait_until(lambda: list(only_run(place).glob("checkpoint*")) if has_begun(place) else [])
    (job,) = submission(place)["jobs"]
    node = cluster.command("squeue", "-h", "-j", job, "-o", "%N").strip()
    cluster.kill_node(node)
    assert not (only_run(place) / "result.json").exists()
    (place / "slow-it").unlink()
    try:
        wait_until(lambda: (only_run(place) / "result.json").exists(), seconds=600)
        other = ({"node1", "node2"} - {node}).pop()
        assert f"on {other}, attempt 2" in logs(place)
    finally:
        cluster.start_node(node)
    assert_same(only_run(place), uninterrupted)


@pytest.mark.slow
def test_a_cancelled_run_is_unfinished_until_it_is_resubmitted(cluster, place, uninterrupted, wait_until):
    output = f"--output={place}/runs"
    cluster.bench(*on_cluster(place, epochs=LONG))
    wait_until(lambda: has_begun(place))
    assert "Cancelled 1 job" in cluster.bench("cancel", "all", output)
    wait_until(lambda: "unfinished" in cluster.bench("status", f"{place}/runs"))
    said = cluster.bench("status", f"{place}/runs")
    assert "CANCELLED" in said
    assert "resubmit" in said
    assert "None of their jobs" in cluster.bench("cancel", "all", output)
    assert "Nothing to submit again." in cluster.bench("resubmit", "--failed", output)
    (place / "slow-it").unlink()
    cluster.bench("resubmit", output, "--wait")
    assert_same(only_run(place), uninterrupted)


@pytest.mark.slow
def test_a_killed_job_goes_on_when_the_failed_are_resubmitted(cluster, place, uninterrupted, wait_until):
    cluster.bench(*on_cluster(place, epochs=LONG))
    wait_until(lambda: has_begun(place) and list(only_run(place).glob("checkpoint*.pt")))
    (job,) = submission(place)["jobs"]
    cluster.kill_processes(SLURM_JOB_ID=job, SLURM_STEP_ID="0")
    wait_until(lambda: cluster.states()[job] == "FAILED")
    said = cluster.bench("status", f"{place}/runs")
    assert f"job {job} ended on node" in said
    (place / "slow-it").unlink()
    cluster.bench("resubmit", "--failed", f"--output={place}/runs", "--wait")
    assert_same(only_run(place), uninterrupted)


@pytest.mark.slow
def test_a_run_one_of_whose_processes_dies_goes_on_when_it_is_resubmitted(cluster, place, wait_until):
    def epochs():
        return (only_run(place) / "metrics.csv").read_text().splitlines()[1:] if has_begun(place) else []

    cluster.bench(*on_cluster(place, "--processes=2", epochs=LONG))
    first = wait_until(lambda: epochs() if len(epochs()) > 10 else [])[0]  # a checkpoint, one a second, has it
    (job,) = submission(place)["jobs"]
    cluster.kill_processes(SLURM_JOB_ID=job, SLURM_STEP_ID="0", SLURM_PROCID="1")
    wait_until(lambda: cluster.states()[job] == "FAILED")
    assert f"job {job} ended on node" in cluster.bench("status", f"{place}/runs")
    (place / "slow-it").unlink()
    cluster.bench("resubmit", "--failed", f"--output={place}/runs", "--wait")
    assert (only_run(place) / "result.json").exists()
    assert epochs()[0] == first, "its images/s are those of the first attempt"


@pytest.mark.slow
def test_a_job_that_may_not_begin_again_says_so(cluster, place, wait_until):
    cluster.bench(*on_cluster(place, "slurm.requeue=0", epochs=LONG))
    wait_until(lambda: has_begun(place))
    (job,) = submission(place)["jobs"]
    cluster.command("scancel", "--signal=USR2", job)
    wait_until(lambda: cluster.states()[job] == "FAILED")
    assert "begin again 0 times" in logs(place)
    assert "unfinished" in cluster.bench("status", f"{place}/runs")
    assert list(only_run(place).glob("checkpoint*.pt"))


@pytest.mark.slow
def test_a_run_that_raises_takes_no_other_down_and_alone_is_repeated(cluster, place):
    (place / "break-it").touch()
    words = on_cluster(place, "--wait", methods=f"file:{place}/slow.py,random")
    cluster.bench(*words, code=1)
    output = f"--output={place}/runs"
    said = cluster.bench("status", f"{place}/runs")
    assert "1 failed, 1 completed" in said
    assert "ValueError: the pictures are upside down" in said
    assert "Traceback" in cluster.bench("logs", "*/slow/*", output)
    assert (place / "runs/report/report.md").exists()
    (place / "break-it").unlink()
    said = cluster.bench("resubmit", "--failed", output, "--wait")
    assert "Submitted 1 run as 1 job" in said
    assert "2 completed" in cluster.bench("status", f"{place}/runs")


def test_five_hundred_runs_are_one_array_and_few_questions(cluster, place):
    counted = place / "calls"
    environment = {"PATH": f"{_wrappers(place, counted)}:{os.environ['PATH']}"}
    words = on_cluster(place, "--concurrency=7", methods="random", seeds=500)
    (place / "test.yaml").write_text("cpus: 1\ngpus: 0\nsbatch: {hold: ''}\n")
    assert "Submitted 500 runs as 500 jobs" in cluster.bench(*words, **environment)
    calls = counted.read_text().split()
    assert sorted(set(calls)) == ["sbatch", "scontrol"]
    assert calls.count("sbatch") == 2  # the array and the report
    array = submission(place)["report_job"]
    shown = cluster.command("scontrol", "show", "job", next(iter(submission(place)["jobs"])).partition("_")[0])
    assert "ArrayTaskThrottle=7" in shown
    counted.unlink()
    assert "500 queued" in cluster.bench("status", f"{place}/runs", **environment)
    assert "Cancelled 500 jobs" in cluster.bench("cancel", "all", f"--output={place}/runs", **environment)
    assert sorted(counted.read_text().split()) == ["scancel", "squeue", "squeue"]
    cluster.command("scancel", array)


@pytest.mark.slow
def test_the_accounting_knows_what_the_controller_has_forgotten(accounted_cluster, place, wait_until):
    accounted_cluster.bench(*on_cluster(place, epochs=LONG))
    wait_until(lambda: has_begun(place))
    accounted_cluster.bench("cancel", "all", f"--output={place}/runs")
    (job,) = submission(place)["jobs"]
    wait_until(lambda: "CANCELLED" in accounted_cluster.command("sacct", "-n", "-X", "-o", "State", "-j", job))
    forgetful = place / "bin"
    forgetful.mkdir()
    _program(forgetful / "squeue", "exit 0")
    said = accounted_cluster.bench("status", f"{place}/runs", PATH=f"{forgetful}:{os.environ['PATH']}")
    assert f"job {job} ended on node" in said
    assert "CANCELLED" in said


def test_a_job_that_the_cluster_refuses_is_one_line(cluster, place):
    said = cluster.bench(*on_cluster(place, "--partition=nowhere", methods="random"), code=2)
    assert said == "bench: sbatch refused the job: Batch job submission failed: Invalid partition name specified\n"


def _wrappers(place, counted):
    """Programs of SLURM that note each call."""
    folder = place / "counting"
    folder.mkdir()
    for name in ("sbatch", "squeue", "scontrol", "scancel", "sacct", "srun"):
        _program(folder / name, f'echo {name} >>{counted}; PATH="{os.environ["PATH"]}" exec {name} "$@"')
    return folder


def _program(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
