"""`doctor`: whether this machine can run the suite, and what it will use."""

from __future__ import annotations

import argparse
import importlib.metadata
import shutil
import sys

HELP = "Check this machine and the installed packages."
EXAMPLES = """examples:
  python -m bench doctor
"""
PACKAGES = (
    "torch",
    "torchvision",
    "numba",
    "numpy",
    "scipy",
    "hydra-core",
    "submitit",
    "seaborn",
    "pandas",
    "scikit-learn",
    "safetensors",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has none."""


def main(arguments: argparse.Namespace) -> int:
    """Exit code 1 when something needed is missing."""
    problems = []
    print(f"python         {sys.version.split()[0]}")
    for package in PACKAGES:
        try:
            print(f"{package:<14} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            print(f"{package:<14} missing")
            problems.append(f"{package} is missing: pip install -e .")
    problems += _check_torchvision()
    if not problems:
        _print_hardware()
    try:
        print(f"solo-learn     {importlib.metadata.version('solo-learn')}")
    except importlib.metadata.PackageNotFoundError:
        print("solo-learn     not installed (only for the methods solo/NAME: pip install --no-deps solo-learn==1.0.2)")
    print(f"pdflatex       {shutil.which('pdflatex') or 'not found (only needed to compile the LaTeX tables)'}")
    print(f"free disk      {shutil.disk_usage('.').free / 2**30:.0f} GiB")
    for problem in problems:
        print(f"PROBLEM: {problem}")
    print("Ready." if not problems else "Not ready.")
    return 1 if problems else 0


def _check_torchvision() -> list[str]:
    """torch and torchvision must come from one build: else torchvision's import fails on its own operators."""
    try:
        import torchvision  # noqa: F401
    except ImportError as error:
        return [f"torchvision cannot be imported ({error}): pip install torch torchvision"]
    except RuntimeError as error:
        return [f"torchvision is not of torch's build ({error}): pip install --force-reinstall torch torchvision"]
    return []


def _print_hardware() -> None:
    import torch

    from bench.hardware import cores, environment, resolve_precision

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(f"device         {device.type}: {environment(device, 1)['hardware']}")
    print(f"cores          {cores()}")
    print(f"precision      {resolve_precision('auto', device)}")
