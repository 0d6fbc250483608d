"""The one exception that users see as a single line, and what such lines suggest."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake the user can mend: printed as one line without a traceback, exit code 2."""


class DataGone(UserError):
    """Pictures that were prepared can no longer be read, or have changed: no fault of the run that needs them."""


def suggest(name: str, known: Iterable[str]) -> str:
    """`" Did you mean 'barlow'?"` for a near miss among `known`, else the sorted list of what there is."""
    names = sorted(known)
    near = difflib.get_close_matches(name.casefold(), [one.casefold() for one in names], n=1, cutoff=0.6)
    if near:
        found = next(one for one in names if one.casefold() == near[0])
        return f" Did you mean '{found}'?"
    return f" Known: {', '.join(names)}."


def less_memory(batch_size: int, shares: int) -> str:
    """What to try where a batch of so many equal shares (of processes, or accumulated) takes too much memory."""
    half = batch_size // 2 // shares * shares
    return f"try batch_size={half}" if half >= 2 * shares else "try a smaller backbone or image_size"
