"""Which analyses there are, and which options each takes: as flags of `analyse`, as words of `study`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.errors import UserError, suggest

NAMES = ("geometry", "localisation", "semi", "transfer", "dynamics")
OPTIONS: dict[str, tuple[Callable[[str], Any], tuple[str, ...]]] = {
    "images": (int, ("geometry", "localisation")),
    "seed": (int, ("geometry", "localisation", "dynamics")),
    "annotations": (lambda text: Path(text).expanduser(), ("localisation",)),
    "background": (str, ("localisation",)),
    "fractions": (str, ("semi",)),
    "fine": (str, ("transfer",)),
    "coarse": (str, ("transfer",)),
}
"""What makes an option's value of its words, and which analyses take it; where it is not given, their default holds."""
DATASETS = ("background", "fine", "coarse")
"""Options that name datasets, with commas."""
FEWEST_IMAGES = 4


def parsed(name: str, options: Mapping[str, str]) -> dict[str, Any]:
    """The options of an analysis with their values. Raises UserError for an unknown name, option or value."""
    if name not in NAMES:
        raise UserError(f"There is no analysis '{name}'.{suggest(name, NAMES)}")
    values = {}
    for option, text in options.items():
        if option not in OPTIONS:
            raise UserError(f"No analysis has an option '{option}'.{suggest(option, OPTIONS)}")
        kind, names = OPTIONS[option]
        if name not in names:
            raise UserError(f"The option {option} is of the analysis {' | '.join(names)}, not of {name}.")
        try:
            values[option] = kind(text)
        except ValueError:
            raise UserError(f"{option}={text}: {name} needs a whole number.") from None
    if values.get("images", FEWEST_IMAGES) < FEWEST_IMAGES:
        raise UserError(f"images must be at least {FEWEST_IMAGES}, not {values['images']}.")
    if name == "transfer" and not datasets_of(options):
        raise UserError("Transfer needs targets: transfer.fine=... or transfer.coarse=..., datasets with commas.")
    if "annotations" in values and not values["annotations"].is_dir():
        raise UserError(f"There is no folder of annotations {values['annotations']}.")
    return values


def datasets_of(options: Mapping[str, str]) -> list[str]:
    """The datasets that options of an analysis name, beside those of the runs."""
    return [name for option in DATASETS for name in options.get(option, "").split(",") if name]
