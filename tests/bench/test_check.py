"""The typed check of configurations: every mistake is one line that names the field."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.api import Range
from bench.config.check import build
from bench.errors import UserError


@dataclass(frozen=True)
class Inner:
    rate: Annotated[float, Range(above=0, maximum=1)]
    kind: Literal["one", "two"] = "one"


@dataclass(frozen=True)
class Outer:
    count: Annotated[int, Range(minimum=1)]
    inner: Inner
    name: str = "x"
    flag: bool = False
    limit: int | None = None
    pair: list[float] = field(default_factory=lambda: [0.0, 0.0])
    sizes: dict[str, int] = field(default_factory=dict)


GOOD = {"count": 2, "inner": {"rate": 0.5}}


def test_builds_nested_and_fills_defaults():
    assert build(Outer, {**GOOD, "limit": 3, "pair": [1, 2.5]}) == Outer(2, Inner(0.5), limit=3, pair=[1.0, 2.5])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cuont": 1}, "Unknown setting 'cuont'. Did you mean 'count'?"),
        ({"inner": {"rat": 1}}, "Unknown setting 'inner.rat'. Did you mean 'rate'?"),
        ({"count": 0}, "count must be at least 1, not 0."),
        ({"count": 1.5}, "count must be a whole number, not 1.5."),
        ({"count": "many"}, "count must be a whole number, not 'many'."),
        ({"count": True}, "count must be a whole number, not True."),
        ({"count": None}, "count must be a whole number, not None."),
        ({"inner": {"rate": 0}}, "inner.rate must be above 0 and at most 1, not 0.0."),
        ({"inner": {"rate": float("nan")}}, "inner.rate must be a finite number, not nan."),
        ({"inner": {"rate": 0.1, "kind": "three"}}, "inner.kind must be one of one, two, not 'three'."),
        ({"inner": 3}, "inner has settings of its own"),
        ({"inner": {}}, "Setting 'inner.rate' is missing."),
        ({"flag": 1}, "flag must be true or false, not 1."),
        ({"limit": "none"}, "limit must be a whole number"),
        ({"pair": 0.5}, "pair must be a list"),
        ({"sizes": [1]}, "sizes must be a mapping of names to values, not [1]."),
        ({"sizes": {"a": "b"}}, "sizes.a must be a whole number, not 'b'."),
    ],
)
def test_mistakes_are_one_clear_line(change, words):
    with pytest.raises(UserError) as caught:
        build(Outer, {**GOOD, **change})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@given(
    st.dictionaries(
        st.sampled_from(["count", "inner", "name", "flag", "limit", "pair", "zzz"]),
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(),
            st.floats(),
            st.text(),
            st.lists(st.integers()),
            st.dictionaries(st.text(), st.none()),
        ),
    )
)
def test_anything_at_all_is_either_built_or_refused_in_words(values):
    try:
        build(Outer, values)
    except UserError as error:
        message = str(error)
    else:
        message = ""
    assert "\n" not in message
