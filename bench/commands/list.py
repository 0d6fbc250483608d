"""`list`: what there is, read from the files without importing them."""

from __future__ import annotations

import argparse

from bench import discover

HELP = "List methods, datasets, presets, recipes or studies, with titles, citations and defaults."
EXAMPLES = """examples:
  python -m bench list methods
  python -m bench list datasets --names
"""


FILES = {"presets": "preset", "recipes": "recipe", "studies": "study"}
"""Folders below bench/config of what is a YAML file each."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=["methods", "datasets", "presets", "recipes", "studies"])
    parser.add_argument("--names", action="store_true", help="names alone, one a line")


def main(arguments: argparse.Namespace) -> int:
    if arguments.kind in FILES:
        _print_files(FILES[arguments.kind], arguments.names)
        return 0
    for name in discover.names(arguments.kind):
        if arguments.names:
            print(name)
            continue
        description = discover.describe(arguments.kind, name)
        print(f"{name:<12} {description.title}")
        if description.missing:
            print(f"{'':<12} {description.missing}")
        if description.citation:
            print(f"{'':<12} {description.citation}")
        if description.licence:
            print(f"{'':<12} Licence: {description.licence}")
        for field, default in description.defaults.items():
            print(f"{'':<12}   {name}.{field}={default}")
    return 0


def _print_files(kind: str, names_only: bool) -> None:
    from pathlib import Path

    folder = Path(__file__).parent.parent / "config" / kind
    for path in sorted(folder.glob("*.yaml")):
        print(path.stem)
        if not names_only:
            lines = path.read_text(encoding="utf-8").splitlines()
            print("\n".join(f"    {line}" for line in lines if not line.startswith("# @package")))
