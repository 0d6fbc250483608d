"""Where a step's time goes, in the columns of the page."""

from bench.cost.table import shares

TIMES = {"views": 2.0, "encoder": 5.0, "method": 6.0, "optimiser": 1.0, "step": 8.0}


def test_stages_and_what_they_leave():
    rows = [{"stage": stage, "cpu_ms": time} for stage, time in {**TIMES, "gather": 0.5}.items()]
    expected = {"gather": 0.5, "views": 2.0, "encoder": 5.0, "heads, objective": 1.0, "optimiser": 1.0, "rest": -1.5}
    assert shares(rows, "cpu_ms") == expected


def test_pictures_that_views_gather_themselves_are_no_stage():
    """As where CUDA graphs make the views."""
    rows = [{"stage": stage, "wall_ms": time} for stage, time in TIMES.items()]
    assert shares(rows, "wall_ms")["gather"] == 0
    assert shares(rows, "wall_ms")["rest"] == -1.0
