"""`status`: how far every run of an output folder is, from its files and from SLURM; once, or again and again."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.commands._options import home
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.slurm.watch import Watcher
    from bench.standing import Standing

HELP = "Show how far every run of an output folder is."
EXAMPLES = """examples:
  python -m bench status
  python -m bench status runs/monday --watch
"""
REFRESH_SECONDS = 2.0
SETTLE_SECONDS = 10.0
"""A plan's next run begins within this time of the last one's end; later than that, `--watch` takes all for done."""
ORDER = ("running", "queued", "stopped", "unfinished", "damaged", "failed", "diverged", "collapsed", "completed")
HOME_AND_CLEAR = "\x1b[H\x1b[J"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "output", nargs="?", type=home, default=Path("runs"), metavar="DIR", help="output folder; default runs"
    )
    parser.add_argument(
        "--watch", action="store_true", help="look again every two seconds until all runs have ended or Ctrl-C"
    )


def main(arguments: argparse.Namespace) -> int:
    from bench.slurm.watch import Watcher

    output: Path = arguments.output
    watcher = Watcher(output)
    standings = watcher.look()
    if not standings:
        raise UserError(f"There are no runs under {output}; `python -m bench run` makes some.")
    if not arguments.watch:
        print("\n".join(table(standings)))
        _print_advice(watcher, standings)
        return 0
    try:
        follow(watcher)
    except KeyboardInterrupt:
        print()  # the shell's prompt gets a line of its own; the runs go on
    return 0


def _print_advice(watcher: Watcher, standings: Sequence[Standing]) -> None:
    if not watcher.answers:
        print("The scheduler does not answer (squeue): this is what the files say.", file=sys.stderr)
    if any(standing.state == "unfinished" for standing in standings):
        print(f"`python -m bench resubmit --output {watcher.output}` goes on with the unfinished.")


def follow(watcher: Watcher, runs: Collection[str] | None = None) -> list[Standing]:
    """Show the runs (None: all of the folder) until they have ended; returns how they stand then."""

    def look() -> list[Standing]:
        return [standing for standing in watcher.look() if runs is None or standing.run_id in runs]

    return _watch(look)


def _watch(look: Callable[[], list[Standing]]) -> list[Standing]:
    """A table that is drawn anew in a terminal; elsewhere a line for each change of a run's state."""
    terminal = sys.stdout.isatty()
    known: dict[str, str] = {}
    give_up = time.monotonic()  # where all have ended already, one look is enough
    while True:
        standings = look()
        if terminal:
            size = shutil.get_terminal_size()
            lines = _urgent_first(standings, size.lines - 1)
            print(HOME_AND_CLEAR + "\n".join(line[: size.columns] for line in lines), flush=True)
        else:
            for standing in standings:
                if known.get(standing.run_id) != standing.state:
                    print(f"{standing.run_id}  {standing.state}  {_progress(standing)}".rstrip(), flush=True)
                known[standing.run_id] = standing.state
        if not all(standing.ended for standing in standings):
            give_up = time.monotonic() + SETTLE_SECONDS
        elif time.monotonic() >= give_up:
            return standings
        time.sleep(REFRESH_SECONDS)


def table(standings: Sequence[Standing]) -> list[str]:
    """A line of counts, then a line for each run."""
    counts = Counter(standing.state for standing in standings)
    whole = [standing.ended and standing.state != "unfinished" for standing in standings]
    done = sum(one.epochs if ended else one.epoch for one, ended in zip(standings, whole, strict=True))
    summary = ", ".join(f"{counts[state]} {state}" for state in ORDER if counts[state])
    epochs = sum(standing.epochs for standing in standings)
    head = f"{len(standings)} run{'s' * (len(standings) > 1)}: {summary}; {done} of {epochs} epochs"
    width = max(len(standing.run_id) for standing in standings)
    states = max(9, *(len(standing.state) for standing in standings))
    return [head, *(f"{one.run_id:<{width}}  {one.state:<{states}}  {_progress(one)}".rstrip() for one in standings)]


def _urgent_first(standings: Sequence[Standing], height: int) -> list[str]:
    """The table cut to `height` lines, with what runs or went wrong at its top."""
    lines = table(sorted(standings, key=lambda standing: (ORDER.index(standing.state), standing.run_id)))
    if len(lines) <= height:
        return lines
    return [*lines[: height - 1], f"... and {len(lines) - height + 1} more"]


def _progress(standing: Standing) -> str:
    if standing.ended:
        return standing.outcome
    parts = [f"epoch {standing.epoch:>3} of {standing.epochs}"]
    if standing.loss is not None:
        parts += [f"loss {standing.loss:<10.4g}", f"{standing.images_per_second:>7,.0f} images/s"]
    if standing.state == "running" and standing.seconds_left is not None:
        parts.append(f"{_duration(standing.seconds_left)} left")
    if standing.job:
        parts.append(standing.job)
    return "  ".join(parts)


def _duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 05 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
