"""One call of sbatch, through submitit: what the cluster is asked for, and what it answers."""

from __future__ import annotations

import io
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import bench
from bench.errors import UserError
from bench.slurm.profile import Profile

ANSWER_SECONDS = 300
"""How long sbatch may take: where the controller is busy it asks again by itself."""
UNKNOWN = "A job that it queued all the same finds no runs and ends (`squeue --me`)."
MOST_TASKS = 1000
"""Tasks of one array where the cluster does not say (SLURM's own default allows one more)."""


def call(function: Any, texts: Sequence[str], asked: Mapping[str, Any], folder: Path) -> list[str]:
    """An array with a task per text, or a plain job for one; `function` is called with it. Returns the jobs' ids.

    `asked` is what `parameters` gives; the sbatch file goes to `folder`, as do the jobs' logs. Raises UserError when
    the cluster refuses, answers what nobody understands, or does not answer.
    """
    import submitit

    # Until `carry_out` listens, a signal must not end the process; then the job would not be queued again.
    python = f"""bash -c 'trap "" USR2; exec "$0" "$@"' {shlex.quote(sys.executable)}"""
    executor = submitit.AutoExecutor(folder, cluster="slurm", slurm_python=python)
    executor.update_parameters(**asked)
    try:
        # submitit prints there what it raises, too
        with _outside_of_jobs(), _within(ANSWER_SECONDS), redirect_stderr(io.StringIO()):
            submitted = executor.map_array(function, texts)
    except (submitit.core.utils.FailedJobError, TimeoutError) as error:
        if isinstance(error, TimeoutError) or isinstance(error.__cause__, TimeoutError):
            raise UserError(f"sbatch did not answer within {ANSWER_SECONDS} seconds. {UNKNOWN}") from error
        raise UserError(f"sbatch refused the job: {_last_words(str(error))}") from error
    except submitit.core.utils.FailedSubmissionError as error:
        raise UserError(f"{str(error).splitlines()[0]}. {UNKNOWN}") from error
    return [one.job_id for one in submitted]


def parameters(profile: Profile, pack: int, processes: int, concurrency: int) -> dict[str, Any]:
    """Of submitit, for jobs of `pack` runs with `processes` each; what is None is left to the cluster."""
    side_by_side = pack * processes // profile.nodes
    gpus = profile.gpus // profile.nodes
    return {
        "name": "ssl-bench",
        "timeout_min": profile.minutes,
        "mem_gb": None if profile.memory is None else profile.memory * pack,
        "nodes": profile.nodes,
        "tasks_per_node": side_by_side,
        "cpus_per_task": profile.cpus,
        "gpus_per_node": gpus or None,
        "stderr_to_stdout": True,
        "slurm_partition": profile.partition,
        "slurm_account": profile.account,
        "slurm_qos": profile.qos,
        "slurm_constraint": profile.constraint,
        "slurm_signal_delay_s": profile.notice,
        "slurm_array_parallelism": concurrency,
        "slurm_setup": [*_exports(profile), *profile.setup],
        "slurm_srun_args": [
            f"--cpus-per-task={profile.cpus}",  # since SLURM 22.05 srun does not take it over from sbatch
            "--wait=0",  # process 0 evaluates when others have ended: no limit of the site's may kill it then
            f"--kill-on-bad-exit={int(processes > 1)}",  # processes of one run end together, those of several do not
        ],
        "slurm_additional_parameters": {
            "requeue" if profile.requeue else "no-requeue": True,
            **{name: value or True for name, value in profile.sbatch.items()},
        },
    }


def most_tasks() -> int:
    """Tasks that the cluster allows in one array."""
    try:
        shown = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True, timeout=15).stdout
    except (OSError, subprocess.TimeoutExpired):
        return MOST_TASKS
    match = re.search(r"^MaxArraySize\s*=\s*(\d+)", shown, re.MULTILINE)
    return MOST_TASKS if match is None else max(1, int(match[1]) - 1)


def _exports(profile: Profile) -> list[str]:
    """Lines that make the harness importable in the job, divide its threads and set the profile's environment."""
    root = Path(bench.__file__).parent.parent
    return [
        f'export PYTHONPATH={shlex.quote(str(root))}"${{PYTHONPATH:+:$PYTHONPATH}}"',
        f"export OMP_NUM_THREADS={profile.cpus}",
        *(f"export {name}={shlex.quote(value)}" for name, value in profile.environment.items()),
    ]


@contextmanager
def _outside_of_jobs() -> Iterator[None]:
    """Hide what SLURM sets inside a job: a command given in an interactive one would hand it on to the new job."""
    if "SLURM_JOB_ID" not in os.environ:
        yield
        return
    hidden = {name: value for name, value in os.environ.items() if re.match(r"SLURM_(?!CONF$)|SLURMD_|SRUN_", name)}
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in what takes longer; submitit, which waits for ever, then kills the sbatch that it started.
    Only for the main thread."""

    def give_up(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _last_words(text: str) -> str:
    lines = [line for line in text.splitlines() if "error" in line.lower()] or text.splitlines() or ["no message"]
    return lines[-1].strip().removeprefix("sbatch: error: ")
