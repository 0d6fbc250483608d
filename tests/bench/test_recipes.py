"""Recipes: those that come with the suite can be planned, and a broken file is one line."""

import pytest

from bench import discover
from bench.arms import parse
from bench.config import recipes
from bench.config.check import build
from bench.config.compose import compose_protocol, words_for
from bench.config.schema import Protocol
from bench.errors import UserError

GOOD = "label: mine\ndatasets: [digits]\npresets: [quick]\nmethods:\n  smi: {w: 5.0}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label: [", "cannot be read"),
        ("- 1", "is no recipe"),
        ("label: mine", "is no recipe"),
        (GOOD + "sauce: 1\n", "unknown key 'sauce'"),
        (GOOD.replace("label: mine\n", ""), "'label' is missing"),
        (GOOD.replace("{w: 5.0}", "5"), "settings of 'smi'"),
    ],
)
def test_a_file_that_is_no_recipe_is_one_line(tmp_path, text, message):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        recipes.read(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_and_a_name_that_is_not_known(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        recipes.choose(str(tmp_path / "none.yaml"), "digits", "quick")
    with pytest.raises(UserError, match="Unknown recipe 'non'"):
        recipes.choose("non", "digits", "quick")


def test_values_become_words_of_their_arm(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(GOOD.replace("{w: 5.0}", "{w: null, gather: true, augment.blur: [0.0, 0.5], optimizer.lr: 1.0e-4}"))
    words = recipes.read(path).words(parse("smi"))
    assert words == ["smi.w=null", "smi.gather=true", "smi.augment.blur=[0.0,0.5]", "smi.optimizer.lr=0.0001"]
    assert recipes.read(path).words(parse("smi:form=maxmin")) == []


def test_bundled_recipes_are_unambiguous_and_name_known_methods():
    bundled = {name: recipes.choose(name, "", "") for name in recipes.names()}
    defaults = [
        (dataset, preset) for recipe in bundled.values() for dataset in recipe.datasets for preset in recipe.presets
    ]
    assert len(defaults) == len(set(defaults))
    for recipe in bundled.values():
        assert {parse(name).method for name in recipe.methods} <= set(discover.names("methods"))
        assert {dataset.partition(":")[0] for dataset in recipe.datasets} <= set(discover.names("datasets"))


@pytest.mark.parametrize("name", recipes.names())
def test_every_bundled_setting_is_known_and_in_its_range(name):
    recipe = recipes.choose(name, "", "")
    for arm in map(parse, recipe.methods):
        config = discover.load("methods", arm.method).Config
        words = words_for([*recipe.words(arm), *arm.words()], arm.short_name, [arm.short_name])
        filled = [*words, "epochs=1", "image_size=32", "precision=float32"]
        values = compose_protocol("standard", {}, arm.short_name, config, filled)
        del values["budget"]
        assert isinstance(build(config, values.pop("method"), arm.short_name), config)
        assert isinstance(build(Protocol, values), Protocol)
