"""A method with settings of its own, as an arm of a comparison: `smi:transform=identity:w=3` beside `smi`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench import discover
from bench.errors import UserError


@dataclass(frozen=True)
class Arm:
    """`method` is a name or file:PATH.py; `settings` are `key=value` words for this arm alone, sorted."""

    method: str
    settings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As on the command line: one spelling for one arm."""
        return ":".join([self.method, *self.settings])

    @property
    def short_name(self) -> str:
        """The method's name in run ids, settings and tables."""
        return discover.short_name(self.method)

    def words(self) -> list[str]:
        """The settings as command-line words: `smi.w=3`."""
        return [f"{self.short_name}.{setting}" for setting in self.settings]


def parse(text: str) -> Arm:
    """The arm of `method[:key=value]...`. Raises UserError for a setting that is no key=value, or is
    there twice."""
    method, colon, rest = text.partition(":")
    if method == "file":
        found = re.match(r"(.*\.py)(?::(.*))?$", rest)
        method, rest = (f"file:{found[1]}", found[2] or "") if found else (text, "")
    settings = rest.split(":") if rest else []
    for setting in settings:
        if not re.match(r"[^=]+=.", setting):
            raise UserError(f"'{text}': write method:key=value, e.g. smi:transform=identity:w=3.")
    if colon and not settings and not method.startswith("file:"):
        raise UserError(f"'{text}': after the colon comes key=value, e.g. smi:transform=identity:w=3.")
    keys = [setting.partition("=")[0] for setting in settings]
    repeated = next((key for key in keys if keys.count(key) > 1), None)
    if repeated:
        raise UserError(f"'{text}' sets {repeated} twice.")
    return Arm(method, tuple(sorted(settings)))
