"""Hydra configuration: order of precedence, settings for one method alone, mistakes in one line."""

import pytest

from bench import discover
from bench.config.compose import compose_protocol, words_for
from bench.errors import UserError

SMI = discover.load("methods", "smi").Config


def composed(*words, preset="quick", defaults=None):
    return compose_protocol(preset, defaults or {}, "smi", SMI, words_for(words, "smi", ["smi", "barlow"]))


def test_preset_then_dataset_then_user():
    assert composed()["augment"]["flip"] == 0.5
    assert composed(defaults={"augment.flip": 0.0})["augment"]["flip"] == 0.0
    assert composed("augment.flip=0.25", defaults={"augment.flip": 0.0})["augment"]["flip"] == 0.25
    assert composed()["optimizer"]["name"] == "adamw"
    assert composed(preset="standard")["optimizer"]["name"] == "lars"


def test_a_setting_for_one_method_wins_over_one_for_all_wherever_it_stands():
    values = composed("smi.optimizer.lr=0.5", "optimizer.lr=0.1", "barlow.optimizer.lr=0.9")
    assert values["optimizer"]["lr"] == 0.5


def test_a_method_of_a_folder_has_settings_of_its_own_too():
    words = ["solo/barlow.optimizer.lr=0.5", "solo/barlow.scale=1", "barlow.scale=2", "epochs=7"]
    methods = ["barlow", "solo/barlow"]
    assert words_for(words, "solo/barlow", methods) == ["epochs=7", "optimizer.lr=0.5", "method.scale=1"]
    assert words_for(words, "barlow", methods) == ["epochs=7", "method.scale=2"]


def test_hyperparameters_stand_under_the_methods_name():
    values = composed("smi.w=20", "smi.form=maxmin")
    assert values["method"]["w"] == 20
    assert values["method"]["form"] == "maxmin"
    assert values["method"]["transform"] == "gaussian"


@pytest.mark.parametrize("preset", ["quick", "standard", "paper"])
def test_every_preset_composes(preset):
    assert set(composed(preset=preset)) >= {"backbone", "optimizer", "budget", "method", "augment"}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("optimizer.ls=0.1", "Unknown setting 'optimizer.ls'. Did you mean 'optimizer.lr'?"),
        ("solo/barlow.scale=1", "'solo/barlow' is not one of --methods. Did you mean 'barlow'?"),
        ("smi.epsilom=1", "Unknown setting 'smi.epsilom'. Did you mean 'smi.epsilon'?"),
        ("barlw.lambda_=1", "Unknown setting 'barlw.lambda_'."),
        ("smi.fom=maxmin", "Unknown setting 'smi.fom'. Did you mean 'smi.form'?"),
        ("epochs=1,2", "one value at a time"),
        ("+epochs=3", "one value at a time"),
        ("~epochs", "one value at a time"),
        ("epochs=[1", "cannot be read as key=value"),
        ("preset=paper", "Unknown setting 'preset'."),
        ("method.w=3", "name the method instead, e.g. smi.w=3"),
    ],
)
def test_mistakes_are_one_line(word, message):
    with pytest.raises(UserError) as caught:
        composed(word)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
