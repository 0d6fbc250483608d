"""The benchmark harness; `bench.methods`, `.datasets`, `.reports` and `.slurm` are its sibling folders."""

from pathlib import Path

__version__ = "0.1.0"

# In a checkout the four folders stand beside bench/, in a wheel inside it. They are reached as bench.<folder>
# either way, so that none of them claims a top-level name such as Hugging Face's `datasets`.
if not (Path(__file__).parent / "methods").is_dir():
    __path__.append(str(Path(__file__).parent.parent))
