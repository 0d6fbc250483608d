"""What `run --executor slurm` and `resubmit` share: what to ask the cluster for, and what to say and do afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
            reference = outcome.submission.manner["reference"]
            words = f"report {output}" + (f" --reference {reference}" if reference else "")
            print(
                f"No job writes the report ({outcome.no_report}): when they have ended, `python -m bench {words}` does."
            )
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

    from bench.commands.status import REFRESH_SECONDS, follow
    from bench.slurm.watch import Watcher

    print()
    watcher = Watcher(output)
    standings = follow(watcher, set(runs))
    while watcher.report_pending():
        time.sleep(REFRESH_SECONDS)
    report = output / "report" / "report.md"
    print(f"\n{report.read_text(encoding='utf-8')}" if report.exists() else "\nThere is no report.")
    return 1 if any(standing.state in ("failed", "unfinished", "damaged") for standing in standings) else 0


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
