"""Pictures that are decoded when they are asked for: what a store has of them where decoded ones would not fit."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.datasets._decode import Unreadable, decode
from bench.errors import DataGone, UserError


class StreamedCanvases:
    """Stands for the array (N, 3, H, W) uint8 that a decoded store would hold, and gives the same pixels.

    `paths` (N,) are names of files as bytes, `sizes` (N, 2) the heights and widths to which they are decoded. Raises
    DataGone, when it is asked for a picture, for a file that is gone or not what it was.
    """

    def __init__(self, paths: np.ndarray, sizes: np.ndarray, short_side: int) -> None:
        self._paths, self._sizes, self._short_side = paths, sizes, short_side
        self.shape = (len(sizes), 3, *(int(side) for side in sizes.max(axis=0)))
        self.dtype = np.dtype(np.uint8)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: int | Sequence[int] | np.ndarray) -> np.ndarray:
        rows = np.asarray(rows)
        if rows.ndim == 0:
            return self[rows[None]][0]
        canvases = np.zeros((len(rows), *self.shape[1:]), dtype=np.uint8)
        for canvas, row in zip(canvases, rows, strict=True):
            height, width = self._sizes[row]
            canvas[:, :height, :width] = self._picture(row)
        return canvases

    def _picture(self, row: int) -> np.ndarray:
        path = Path(os.fsdecode(self._paths[row]))
        try:
            picture = decode(path, self._short_side)
        except Unreadable as error:
            raise DataGone(f"{path} cannot be decoded any more ({error}): mend it, then go on.") from None
        except UserError as error:
            raise DataGone(str(error)) from None
        if picture.shape[1:] != tuple(self._sizes[row]):
            raise DataGone(f"{path} is not the picture it was; give the command again, which prepares it anew.")
        return picture


def paths_array(paths: Sequence[Path]) -> np.ndarray:
    """Absolute paths as fixed-width bytes (N,), which are memory-mapped without pickles."""
    return np.array([os.fsencode(path.absolute()) for path in paths], dtype=np.bytes_)
