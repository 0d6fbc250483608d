"""Lists that datasets keep in MATLAB files."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from bench.errors import UserError


def variable(path: Path, name: str, mend: str) -> np.ndarray:
    """One variable of a MATLAB file as a flat array (N,), of a struct with its fields.

    Raises UserError, with how to `mend` it, where the file is missing or damaged or has no such variable.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        return np.atleast_1d(loadmat(path, squeeze_me=True)[name]).ravel()
    except (OSError, LookupError, ValueError, TypeError, NotImplementedError, MatReadError, zlib.error) as error:
        raise UserError(f"{path} is missing or damaged ({error}); {mend}.") from error
