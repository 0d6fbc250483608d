"""Finds the plug-ins: a file in methods/ or datasets/ is registered by being there, `file:PATH.py` by being named.

A file one folder deeper, methods/solo/barlow.py, is called `solo/barlow`. Names and descriptions are read from the
source text, so that listing them imports nothing (no torch).
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import bench
from bench.errors import UserError, suggest

Kind = Literal["methods", "datasets"]
CONTRACT = {"methods": "Method", "datasets": "Dataset"}


@dataclass(frozen=True)
class Description:
    """What a plug-in's file says of itself: first line of its docstring, citation, hyperparameters as written."""

    name: str
    title: str
    citation: str
    licence: str
    """Of a dataset; empty for a method."""
    requires: str
    """Of a method: the command that installs what it needs beyond this project's own dependencies, mostly empty."""
    defaults: dict[str, str]

    @property
    def missing(self) -> str:
        """What is not installed and how it is: 'needs solo-learn 1.0.2: pip install ...'; empty where nothing is."""
        if not self.requires:
            return ""
        package, _, wanted = self.requires.split()[-1].partition("==")
        try:
            installed = version(package)
        except PackageNotFoundError:
            return f"needs {package}: {self.requires}"
        fits = wanted in ("", installed)
        return "" if fits else f"needs {package} {wanted}, not {installed}: {self.requires}"


def folder(kind: Kind) -> Path:
    """The folder of this kind's plug-ins, in a checkout or in an installed wheel."""
    return next(Path(root) / kind for root in bench.__path__ if (Path(root) / kind).is_dir())


def names(kind: Kind) -> list[str]:
    """Sorted names of the plug-ins: file names without `.py`; a leading underscore marks a helper."""
    deeper = [f"{path.name}/{name}" for path in _subfolders(kind) for name in _names_in(path)]
    return sorted([*_names_in(folder(kind)), *deeper])


def expand(kind: Kind, words: Sequence[str]) -> list[str]:
    """`words` with `all` replaced by every name without a slash and a pattern by the names it matches.

    A pattern is the shell's: `*` stands for anything but a slash, so that `solo/*` is a folder's names and `s*` none of
    them. What is named beside it is not repeated. Raises UserError for a pattern that matches nothing.
    """
    found: list[str] = []
    for word in words:
        if word.startswith("file:") or not (word == "all" or set(word.partition(":")[0]) & set("*?[")):
            found.append(word)
            continue
        matching = [name for name in names(kind) if _matches(name, "*" if word == "all" else word)]
        if not matching:
            raise UserError(f"'{word}' matches no {kind.removesuffix('s')}.{suggest(word, names(kind))}")
        found += [name for name in matching if name not in words and name not in found]
    return found


def describe(kind: Kind, name: str) -> Description:
    """Title, citation and defaults of a plug-in, read from its source without importing it.

    Raises UserError for an unknown name and for a file that is not Python.
    """
    path = source_path(kind, name)
    try:
        return _described(name, path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error


@cache
def _described(name: str, source: str) -> Description:
    """By the source itself, since an outside file may be edited while this process goes on."""
    tree = ast.parse(source)
    classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    assigned = [item for node in classes.values() for item in node.body if isinstance(item, ast.Assign | ast.AnnAssign)]
    texts = {_target(item): _text(item.value) for item in assigned if item.value is not None}
    fields = classes["Config"].body if "Config" in classes else []
    defaults = {
        _target(item): ast.unparse(item.value) for item in fields if isinstance(item, ast.AnnAssign) and item.value
    }
    citation, licence, requires = (texts.get(key, "") for key in ("citation", "licence", "requires"))
    return Description(name, _title(tree), citation, licence, requires, defaults)


def load(kind: Kind, name: str) -> type[Any]:
    """The plug-in's class: the one public subclass of `bench.api.Method` or `Dataset` that its file defines.

    Raises UserError for an unknown name (with the nearest known one), for a file that defines none or several, and
    where something that the plug-in requires is not installed.
    """
    path = source_path(kind, name)
    missing = describe(kind, name).missing
    if missing:
        raise UserError(f"{name} {missing}")
    module = _import_outside(path) if name.startswith("file:") else _import_own(kind, name)
    contract = getattr(importlib.import_module("bench.api"), CONTRACT[kind])
    found = [
        value
        for key, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, contract)
        and value.__module__ == module.__name__
        and key[0] != "_"
    ]
    if len(found) != 1:
        raise UserError(
            f"{path} must define exactly one public subclass of bench.api.{CONTRACT[kind]}; it has {len(found)}."
        )
    if kind == "methods":
        _check_config(found[0], path)
    return found[0]


def source_path(kind: Kind, name: str) -> Path:
    """The file that defines a plug-in. Raises UserError when there is none."""
    if name.startswith("file:"):
        path = Path(name.removeprefix("file:")).expanduser()
        if path.suffix != ".py" or not path.is_file():
            raise UserError(f"'{name}': there is no Python file {path}.")
        return path.resolve()
    if name not in names(kind):
        raise UserError(f"Unknown {kind.removesuffix('s')} '{name}'.{suggest(name, names(kind))}")
    return folder(kind) / f"{name}.py"


def short_name(name: str) -> str:
    """The name that run ids and tables use: `file:path/my_loss.py` is called `my_loss`."""
    return Path(name.removeprefix("file:")).stem if name.startswith("file:") else name


def source_digest(name: str) -> str | None:
    """SHA-256 of a method's outside file, which stands in for a version number in the run id; None for our own.

    Raises UserError where the file is gone.
    """
    if not name.startswith("file:"):
        return None
    return hashlib.sha256(source_path("methods", name).read_bytes()).hexdigest()


def _names_in(folder: Path) -> list[str]:
    return [path.stem for path in folder.glob("*.py") if not path.name.startswith("_")]


def _subfolders(kind: Kind) -> list[Path]:
    return [path for path in folder(kind).iterdir() if path.is_dir() and not path.name.startswith(("_", "."))]


def _matches(name: str, pattern: str) -> bool:
    return name.count("/") == pattern.count("/") and fnmatchcase(name, pattern)


def _import_own(kind: Kind, name: str) -> ModuleType:
    return importlib.import_module(f"bench.{kind}.{name.replace('/', '.')}")


def _import_outside(path: Path) -> ModuleType:
    module_name = f"bench_outside_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses look their module up by name
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UserError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    return module


def _check_config(method: type[Any], path: Path) -> None:
    config = getattr(method, "Config", None)
    if not (isinstance(config, type) and dataclasses.is_dataclass(config)):
        raise UserError(f"{path}: {method.__name__} needs a dataclass Config of its hyperparameters (it may be empty).")
    for field in dataclasses.fields(config):
        if not isinstance(field.default, bool | int | float | str | None):
            raise UserError(f"{path}: hyperparameter '{field.name}' needs a default that is a number, text, or None.")


def _text(value: ast.expr) -> str:
    """A literal, or else the source of the expression."""
    return str(value.value) if isinstance(value, ast.Constant) else ast.unparse(value)


def _target(item: ast.Assign | ast.AnnAssign) -> str:
    target = item.target if isinstance(item, ast.AnnAssign) else item.targets[0]
    return target.id if isinstance(target, ast.Name) else ""


def _title(tree: ast.Module) -> str:
    docstring = ast.get_docstring(tree) or ""
    return docstring.partition("\n")[0].rstrip(".")
