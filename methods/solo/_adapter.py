"""solo-learn's own functions.

The published package asks for torch 1.9 and imports all of its dependencies at once. Its files of losses need torch
alone and work with a current one, so that a single file is executed here and its package is not.
"""

from __future__ import annotations

import importlib.util
from importlib.metadata import distribution
from pathlib import Path
from typing import Any


def solo(file: str) -> Any:
    """The module of one file of solo-learn, e.g. 'losses/barlow.py'; every call gives a new one, to change at will."""
    path = Path(str(distribution("solo-learn").locate_file("solo"))) / file
    spec = importlib.util.spec_from_file_location(f"solo_learn_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
