"""A run's metrics as events for TensorBoard, to watch it live; no result depends on them.

The package `tensorboard` is optional, and imported only where events are wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.errors import UserError

REQUIREMENT = "tensorboard>=2.21,<3"


def check() -> None:
    """Raises UserError where events cannot be written for want of the package."""
    try:
        import torch.utils.tensorboard  # noqa: F401
    except (ImportError, AttributeError, TypeError) as error:  # the latter from an old one beside a new protobuf
        reason = str(error).partition("\n")[0]
        line = f"--tensorboard needs the package tensorboard ({reason}): python -m pip install '{REQUIREMENT}'"
        raise UserError(line) from error


@contextmanager
def recorder(
    folder: Path, step: int, rows: Sequence[Mapping[str, Any]]
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Gives a function that writes a row of metrics, at its optimiser step, to a new event file in `folder`.

    `step` is where this attempt at the run begins and `rows` are those up to there, which are written only where no
    earlier attempt has left events. Raises OSError, as does the function, where the disk does not take them.
    """
    from torch.utils.tensorboard import SummaryWriter

    is_first = not any(folder.glob("*tfevents*"))
    # An attempt that was killed may have left points behind the checkpoint: they come again, and are taken back.
    with SummaryWriter(str(folder), purge_step=step + 1) as writer:

        def write(row: Mapping[str, Any]) -> None:
            for name, value in row.items():
                if name != "step" and isinstance(value, int | float):
                    writer.add_scalar(name, value, row["step"])
            writer.flush()  # waits for the writer's own thread and raises what that met, as closing does again

        for row in rows if is_first else ():
            write(row)
        yield write
