"""Localisation from run folders to the section of a report: what can be found is found, what is chance is chance."""

import pandas as pd
import pytest
from torch import nn
from torch.nn import functional

from bench.analysis import localisation
from bench.analysis.runs import FinishedRun
from bench.errors import UserError


@pytest.fixture(scope="module")
def analysed(runs, where, darkness, tmp_path_factory):
    folder = tmp_path_factory.mktemp("localisation")
    return localisation.analyse(runs, folder, where, images=24, background=f"folder:{darkness}").parent


class Colours(nn.Module):
    """An encoder that sees the colour of every patch of two pixels, or with `blind` the same everywhere."""

    def __init__(self, blind):
        super().__init__()
        self.blind = blind

    def feature_map(self, images):
        patches = functional.avg_pool2d(images, 2)
        return patches.mean((2, 3), keepdim=True).expand_as(patches) if self.blind else patches

    def forward(self, images):
        return self.feature_map(images).mean((2, 3))


def planted(runs, where, darkness, folder, monkeypatch, blind):
    monkeypatch.setattr(FinishedRun, "encoder", lambda run, device: Colours(blind))
    localisation.analyse(runs[:1], folder, where, images=24, background=f"folder:{darkness}")
    scores, chance = (pd.read_csv(folder / name).set_index("map") for name in ("scores.csv", "chance.csv"))
    return scores, chance.loc["uniform"]


def test_an_encoder_that_sees_colours_finds_them_in_the_dark(runs, where, darkness, tmp_path, monkeypatch):
    scores, _ = planted(runs, where, darkness, tmp_path, monkeypatch, blind=False)
    own = scores.loc["class_activation"]
    assert own["pointing"] == 1
    assert own["energy"] > 0.7  # 0.24 by chance; the rest is noise and the rim that enlarging blurs
    assert own["box_overlap"] > 0.8


def test_an_encoder_that_sees_the_same_everywhere_is_at_chance(runs, where, darkness, tmp_path, monkeypatch):
    scores, uniform = planted(runs, where, darkness, tmp_path, monkeypatch, blind=True)
    for name in localisation.MAPS:
        for score in ("energy", "pointing", "box_overlap", "gini", "entropy"):
            assert scores.loc[name, score] == pytest.approx(uniform[score], abs=1e-9)


def test_a_row_per_run_and_map(analysed, runs):
    scores = pd.read_csv(analysed / "scores.csv")
    assert len(scores) == len(runs) * len(localisation.MAPS)
    assert (scores["images"] == 24).all()


def test_chance_is_the_share_of_the_area(analysed):
    chance = pd.read_csv(analysed / "chance.csv").set_index("map")
    even = chance.loc["uniform"]
    assert even["energy"] == pytest.approx(even["pointing"])
    assert even["energy"] == pytest.approx(even["box_overlap"])
    assert 0.3**2 < even["energy"] < 0.6**2
    assert even["gini"] == pytest.approx(0, abs=1e-9)
    assert even["entropy"] == pytest.approx(1)


def test_the_section_states_chance_and_shows_maps(analysed):
    section = (analysed / "section.md").read_text()
    assert section.count("Chance at 16 px: a uniform map scores energy inside") == len(localisation.MAPS)
    names = {path.name for path in (analysed / "figures").glob("*.png")}
    assert {name.split("-")[0] for name in names} == {"localisation", "overlays"}
    assert len(names) == 2


@pytest.mark.slow
def test_the_same_again_gives_the_same_numbers(analysed, runs, where, darkness, tmp_path):
    localisation.analyse(runs, tmp_path, where, images=24, background=f"folder:{darkness}")
    for name in ("scores.csv", "chance.csv", "section.md"):
        assert (tmp_path / name).read_bytes() == (analysed / name).read_bytes()


def test_one_ground_truth_at_a_time(runs, where, tmp_path):
    with pytest.raises(UserError, match="either --annotations or --background"):
        localisation.analyse(runs, tmp_path, where, annotations=tmp_path, background="digits")
