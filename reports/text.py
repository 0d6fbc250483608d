"""Numbers and words as reports print them, and the escaping that Markdown and LaTeX need."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence

from bench.reports.statistics import ALPHA

NOTHING = "–"

_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "[": "{[}",  # a bracket after \\ would be read as that command's argument
    "]": "{]}",
    "±": r"$\pm$",
    "−": "$-$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "–": "--",
    "—": "---",
    "†": r"\dag{}",
    "’": "'",
    **{letter: f"$\\{name}$" for letter, name in {"α": "alpha", "β": "beta", "γ": "gamma", "ε": "varepsilon"}.items()},
    **{
        letter: f"$\\{name}$"
        for letter, name in {"λ": "lambda", "μ": "mu", "ρ": "rho", "σ": "sigma", "τ": "tau"}.items()
    },
}
_ACCENTS = {"̀": "`", "́": "'", "̂": "^", "̃": "~", "̈": '"', "̌": "v", "̧": "c", "̊": "r"}


def number(value: float | None, decimals: int = 1) -> str:
    """`value` with a true minus sign, never `-0`; a dash for None or NaN."""
    if value is None or math.isnan(value):
        return NOTHING
    text = f"{value:.{decimals}f}"
    return text.replace("-", "−") if float(text) else text.removeprefix("-")


def percent(fraction: float | None, decimals: int = 1) -> str:
    """A fraction in [0, 1] as a percentage without its sign: 0.412 -> 41.2."""
    return number(None if fraction is None else 100 * fraction, decimals)


def points(fraction: float, decimals: int = 1) -> str:
    """A difference of fractions in percentage points, with its sign: 0.012 -> +1.2."""
    text = percent(fraction, decimals)
    return text if text.startswith("−") or not float(text) else f"+{text}"


def p_value(p: float) -> str:
    """`p = 0.012`, never rounded to 0 nor across the threshold of 0.05."""
    if p < 0.001:
        return "p < 0.001"
    decimals = 3
    while (round(p, decimals) < ALPHA) != (p < ALPHA):
        decimals += 1
    return f"p = {p:.{decimals}f}"


def runs(count: int) -> str:
    """`1 run`, `2 runs`."""
    return f"{count} run" if count == 1 else f"{count} runs"


_TARGETS = {"fine": "fine-grained targets", "coarse": "coarse targets", "all": "all targets"}


def metric(name: str) -> str:
    """A score in words: `linear accuracy`, `kNN accuracy at 1 % labels`, `linear accuracy on digits`."""
    probe, where = probe_and_place(name)
    return f"{probe} accuracy{where}"


def probe_and_place(name: str) -> tuple[str, str]:
    """Of a score: `linear`; what classifies, and how few labels it has (`linear_1`) or where (`digits.linear`)."""
    found = re.fullmatch(r"(?:(?P<target>.+)\.)?(?P<probe>linear|knn)(?:_(?P<share>[0-9.]+))?", name)
    if found is None:
        return name.replace("_", " "), ""
    target, share = found["target"], found["share"]
    where = f" at {share} % labels" if share else ""
    where += f" on {_TARGETS.get(target, target)}" if target else ""
    return "kNN" if found["probe"] == "knn" else "linear", where


def interval(ends: Sequence[float], decimals: int = 1) -> str:
    """Fractions as `[−0.2, 3.6]` in percent or points."""
    return f"[{percent(ends[0], decimals)}, {percent(ends[1], decimals)}]"


def listed(items: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)


def some(items: Sequence[str]) -> str:
    """All of up to four, of more the first three: `a, b, c and 2 more`."""
    return listed(items) if len(items) <= 4 else f"{', '.join(items[:3])} and {len(items) - 3} more"


def markdown(text: str) -> str:
    """`text` on one line with everything escaped that Markdown or a Markdown table would take for markup."""
    text = re.sub(r"([\\`*|~$])", r"\\\1", " ".join(text.split()))
    text = re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", text)  # inside a word it is not emphasis
    text = re.sub(r"&(?=#?\w+;)", "&amp;", text)
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text.replace("](", "]\\("))


def latex(text: str) -> str:
    """`text` in pure ASCII that LaTeX sets as it stands; a character without a known command becomes its U+ number."""
    return "".join(_latex_character(character) for character in " ".join(text.split()))


def _latex_character(character: str) -> str:
    if character in _LATEX:
        return _LATEX[character]
    if " " <= character <= "~":
        return character
    base, *accents = list(unicodedata.normalize("NFD", character))
    if len(accents) == 1 and accents[0] in _ACCENTS and base.isascii() and base.isalpha():
        return f"\\{_ACCENTS[accents[0]]}{{{base}}}"
    return f"U+{ord(character):04X}"
