"""The dynamics analysis as a whole, on two objectives."""

import numpy as np
import pandas as pd
import pytest

from bench.analysis import dynamics
from bench.errors import UserError

OBJECTIVES = ("smi", "smi:transform=identity")


@pytest.fixture(scope="module")
def analysed(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dynamics")
    return dynamics.analyse(runs, folder, objectives=OBJECTIVES, on_the_circle=("spectral",)).parent


def test_autograd_and_closed_form_stand_side_by_side(analysed):
    table = pd.read_csv(analysed / "gradients.csv")
    assert len(table) == len(OBJECTIVES) * 2 * len(dynamics.COSINES)
    assert np.allclose(table["attraction"], table["closed_form"], atol=1e-12)


def test_the_nonlinear_objective_concentrates_on_the_related_pairs(analysed):
    """One pair in sixteen is related. Linear pulls are |rho|; those of the matched information nearly rho^3."""
    shares = pd.read_csv(analysed / "shares.csv").set_index(["objective", "top"])["share"]
    assert shares["smi", 0.05] > 2 * shares["smi:transform=identity", 0.05] > 4 * 0.05
    assert shares["smi", 1.0] == pytest.approx(1.0)
    related = pd.read_csv(analysed / "related.csv").set_index(["objective", "same_class"])["share"]
    assert related["smi", 0.5] == shares["smi", 0.1]
    assert (related["smi"] > 1.6 * related["smi:transform=identity"]).all()
    assert (related["smi"].diff().dropna() > 0).all()


OF_RUNS = {f"dynamics-{name}-folder-squares.png" for name in ("terms", "correlations")}


def figures(folder):
    return {path.name for path in (folder / "figures").glob("*.png")}


def test_loss_terms_of_the_runs_are_drawn(analysed):
    assert figures(analysed) > OF_RUNS


@pytest.mark.slow
def test_without_runs_all_but_their_loss_terms_is_drawn(analysed, tmp_path):
    dynamics.analyse([], tmp_path, objectives=OBJECTIVES[:1], on_the_circle=("spectral",))
    assert figures(tmp_path) == figures(analysed) - OF_RUNS


def test_an_unknown_objective_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"Unknown setting 'smi\.form_'"):
        dynamics.analyse([], tmp_path, objectives=("smi:form_=match",))
