"""Turns a plain mapping into a typed dataclass; every mistake is one line that names the field and what it may be."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from bench.api import Range
from bench.errors import UserError, suggest

T = TypeVar("T")


def build(cls: type[T], values: Mapping[str, Any], path: str = "") -> T:
    """An instance of dataclass `cls` from nested plain values, such as OmegaConf gives.

    Checks names, types, `Range` bounds and `Literal` choices; an integer is accepted for a float. A dataclass with a
    `validate` method has it called. Raises UserError naming the field by its dotted `path`.
    """
    hints = typing.get_type_hints(cls, include_extras=True)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in values:
        if name not in fields:
            raise UserError(f"Unknown setting {_dotted(path, name)!r}.{suggest(name, fields)}")
    arguments = {name: _convert(hints[name], value, _dotted(path, name)) for name, value in values.items()}
    missing = [name for name, field in fields.items() if name not in arguments and _has_no_default(field)]
    if missing:
        raise UserError(f"Setting '{_dotted(path, missing[0])}' is missing.")
    instance = cls(**arguments)
    if hasattr(instance, "validate"):
        instance.validate()
    return instance


def _convert(hint: Any, value: Any, path: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise UserError(f"{path} has settings of its own; set one of them, e.g. {path}.{_first_field(hint)}=...")
        return build(hint, value, path)  # type: ignore[arg-type]
    if origin is Annotated:
        return _bounded(_convert(arguments[0], value, path), arguments[1:], path)
    if origin is Literal:
        if value not in arguments:
            raise UserError(f"{path} must be one of {', '.join(map(str, arguments))}, not {value!r}.")
        return value
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _convert(next(argument for argument in arguments if argument is not type(None)), value, path)
    if origin is list:
        if not isinstance(value, list | tuple):
            raise UserError(f"{path} must be a list, e.g. {path}=[0.0,0.1], not {value!r}.")
        return [_convert(arguments[0], item, path) for item in value]
    if origin is dict:
        if not isinstance(value, Mapping):
            raise UserError(f"{path} must be a mapping of names to values, not {value!r}.")
        return {str(name): _convert(arguments[1], item, _dotted(path, str(name))) for name, item in value.items()}
    return _scalar(hint, value, path)


def _scalar(hint: type, value: Any, path: str) -> Any:
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise UserError(f"{path} must be a finite number, not {value!r}.")
        return float(value)
    if type(value) is not hint:
        words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
        raise UserError(f"{path} must be {words[hint]}, not {value!r}.")
    return value


def _bounded(value: Any, notes: tuple[Any, ...], path: str) -> Any:
    for bounds in notes:
        if isinstance(bounds, Range) and value not in bounds:
            raise UserError(f"{path} must be {bounds}, not {value!r}.")
    return value


def _has_no_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _first_field(cls: Any) -> str:
    return dataclasses.fields(cls)[0].name


def _dotted(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
