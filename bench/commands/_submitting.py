"""What `run --executor slurm` and `resubmit` share: what to ask the cluster for, and what to say and do afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.slurm.records import Submission
    from bench.slurm.submit import Outcome


def announce(outcome: Outcome, output: Path) -> None:
    """Say which jobs there are now, and what to type next."""
    if outcome.done:
        print(f"{_count(outcome.done, 'run')} of these finished already.")
    if outcome.live:
        ids = ", ".join(sorted({job.id.partition("_")[0] for job in outcome.live}))
        print(f"{_count(len(outcome.live), 'run')} carried out by jobs submitted before ({ids}).")
    if outcome.submission is not None:
        jobs = outcome.submission.jobs
        arrays = ", ".join(dict.fromkeys(name.partition("_")[0] for name in jobs))
        runs = sum(len(group) for group in jobs.values())
        print(f"Submitted {_count(runs, 'run')} as {_count(len(jobs), 'job')}: {arrays}.")
        if outcome.no_report is None:
            print(f"When they have ended, job {outcome.submission.report_job} writes {output / 'report'}.")
        else:
            words = _report_command(output, [outcome.submission])
            print(f"No job writes the report ({outcome.no_report}): when they have ended, `{words}` does.")
    if outcome.submission is None and not outcome.live:
        print(f"Nothing to submit; `python -m bench report {output}` writes the report.")
        return
    example = next(iter(outcome.submission.runs)) if outcome.submission is not None else "RUN"
    there = "" if output == Path("runs") else f" --output {output}"
    print("\nThis shell is not needed any more. From any other, in this folder:")
    print(f"  python -m bench status {output} --watch")
    print(f"  python -m bench logs {example}{there}")
    print(f"  python -m bench cancel all{there}")
    print(f"  python -m bench resubmit --failed{there}", flush=True)


def wait(output: Path, runs: Sequence[str]) -> int:
    """Show the runs until they have ended, then the report's tables; 1 where one failed or did not finish."""
    import time

    from bench.commands.status import follow
    from bench.slurm import watch

    print()
    watcher = watch.Watcher(output)
    standings = follow(watcher, set(runs))
    while watcher.report_pending(runs):
        time.sleep(watch.QUERY_SECONDS)
    report, submissions = output / "report" / "report.md", watcher.submissions_of(runs)
    if _is_of_now(report, output, submissions, runs):
        print(f"\n{report.read_text(encoding='utf-8')}")
    else:
        print(f"\nNo job has written a report of these runs; `{_report_command(output, submissions)}` does.")
    return 1 if any(standing.state in ("failed", "unfinished", "damaged") for standing in standings) else 0


def _is_of_now(report: Path, output: Path, submissions: Sequence[Submission], runs: Sequence[str]) -> bool:
    """Whether a report was written after these submissions and the last result of the runs, by the times of files,
    which come from one clock; what the scheduler knows of the report's job it may have forgotten."""
    from bench.slurm import records

    before = [records.folder(output, submission.name) / records.FILE for submission in submissions]
    before += [output / run / "result.json" for run in runs]
    latest = max((path.stat().st_mtime_ns for path in before if path.exists()), default=0)
    return report.exists() and report.stat().st_mtime_ns >= latest


def _report_command(output: Path, submissions: Sequence[Submission]) -> str:
    reference = submissions[-1].manner["reference"] if submissions else None
    return f"python -m bench report {output}" + (f" --reference {reference}" if reference else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
