"""How the figures of costs tell contenders apart."""

from bench.cost.figures import _looks
from bench.reports.style import style


def test_implementations_and_forms_of_a_method_have_its_colour_in_other_shades():
    names = ["barlow", "vicreg", "barlow, D x D", "solo/barlow", "lightly/vicreg"]
    looks = _looks(names)
    barlow = [looks[name].color for name in ("barlow", "barlow, D x D", "solo/barlow")]
    assert barlow == [style("barlow", shade).color for shade in range(3)]
    assert [looks[name].color for name in ("vicreg", "lightly/vicreg")] == [style("vicreg", n).color for n in range(2)]
    assert len({look.marker for look in looks.values()}) == len(names)
