"""Labels in lines, colours of a method's configurations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.reports.style import SHADES, fill, style


@pytest.mark.parametrize(
    ("words", "width", "lines"),
    [
        ("smi:level=feature:transform=identity", 30, ["smi:level=feature:", "transform=identity"]),
        ("SMI (reconstructed), w = 3", 20, ["SMI (reconstructed),", "w = 3"]),
        ("smi", 30, ["smi"]),
        ("x" * 12, 5, ["xxxxx", "xxxxx", "xx"]),
    ],
)
def test_labels_are_broken_at_spaces_and_settings_and_within_words_last(words, width, lines):
    assert fill(words, width).split("\n") == lines


@given(st.text(alphabet="ab :=", max_size=60), st.integers(1, 20))
def test_no_line_is_longer_than_asked_and_nothing_but_space_is_lost(words, width):
    found = fill(words, width)
    assert all(len(line) <= width for line in found.split("\n"))
    assert "".join(found.split()) == "".join(words.split())


def test_configurations_of_a_method_differ_in_shade():
    colors = [style("smi", variant).color for variant in range(len(SHADES))]
    assert len(set(colors)) == len(SHADES)
    assert colors[0] == style("smi").color
    assert all(len(color) == 7 for color in colors)
