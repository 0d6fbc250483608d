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
        (GOOD.replace("{w: 5.0}", "{optimizer: {lr: 0.1}}"), "optimizer.lr: 0.1"),
        (GOOD.replace("smi:", "slmi:"), "unknown method 'slmi'. Did you mean 'smi'"),
        (GOOD.replace("mine", "2026"), "'label' must be text"),
        (GOOD.replace("[digits]", "digits"), "'datasets' must be a list"),
        (GOOD.replace("smi:", "3:"), "unknown method '3'"),
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
        recipes.choose(str(tmp_path / "none.yaml"), "digits", "quick", [])
    with pytest.raises(UserError, match="Unknown recipe 'non'"):
        recipes.choose("non", "digits", "quick", [])


def test_values_become_words_of_their_arm(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(GOOD.replace("{w: 5.0}", "{w: null, gather: true, augment.blur: [0.0, 0.5], optimizer.lr: 1.0e-4}"))
    words = recipes.read(path).words(parse("smi"))
    assert words == ["smi.w=null", "smi.gather=true", "smi.augment.blur=[0.0,0.5]", "smi.optimizer.lr=0.0001"]
    assert recipes.read(path).words(parse("smi:w=3")) == words[1:]


ROWS = "  barlow: {lambda_: 0.1, scale: 2.0}\n  moco: {queue: 7}\n  moco:version=3: {temperature: 0.5}\n"
TUNED = "provenance: {trials: 2}\n"


@pytest.mark.parametrize(
    ("arm", "published", "tuned"),
    [
        ("barlow", "barlow", "barlow"),
        ("solo/barlow", "barlow", "barlow"),
        ("solo/barlow:scale=3", "barlow", None),
        ("moco:version=3", "moco:version=3", "moco:version=3"),
        ("moco:version=1", "moco", None),
        ("smi:form=maxmin", "smi", None),
        ("vicreg", None, None),
    ],
)
def test_a_variant_gets_its_methods_row_of_a_published_recipe_and_none_of_a_tuned_one(tmp_path, arm, published, tuned):
    path = tmp_path / "recipe.yaml"
    for text, row in [(GOOD + ROWS, published), (GOOD + ROWS + TUNED, tuned)]:
        path.write_text(text)
        recipe = recipes.read(path)
        assert recipe.row(parse(arm)) == row
        assert recipes.label(recipe, parse(arm), [], "digits", "quick") == (
            "default" if row is None else "mine" if row == arm else "mine, changed"
        )


def test_labels_say_what_was_changed_and_for_what_a_recipe_was_made(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(GOOD + "labels: {smi: ours}\n  \n")
    recipe, smi = recipes.read(path), parse("smi")
    assert recipes.label(recipe, smi, ["epochs=9", "evaluate.neighbours=3"], "digits", "quick") == "ours"
    assert recipes.label(recipe, smi, ["batch_size=9"], "digits", "quick") == "ours, changed"
    assert recipes.label(recipe, smi, [], "cifar10", "quick") == "ours for digits at quick"
    path.write_text(GOOD + "provenance: {words: [backbone.width=16, epochs=4, smi.optimizer.lr=1, barlow.lambda_=2]}\n")
    recipe = recipes.read(path)
    assert recipes.label(recipe, smi, ["backbone.width=16", "optimizer.lr=1"], "digits", "quick") == "mine", "as tuned"
    assert recipes.label(recipe, smi, ["backbone.width=16"], "digits", "quick") == "mine, changed"
    assert recipes.label(recipe, smi, [], "digits", "quick") == "mine, changed"
    path.write_text(GOOD.replace("{w: 5.0}", "{}"))
    assert recipes.label(recipes.read(path), smi, [], "digits", "quick") == "mine", "the defaults won their trials"


@pytest.mark.parametrize(
    ("recipe", "dataset", "label"),
    [
        ("imagenette", "imagenette", "published (Imagenette)"),
        ("imagenette", "imagewoof", "published (Imagenette) for imagenette, imagenette:160"),
        ("imagenet", "imagenet:100", "published (ImageNet) for imagenet"),
        ("imagenet100", "imagenet:100", "published (ImageNet-100)"),
        ("cifar", "cifar100", "published (CIFAR)"),
    ],
)
def test_published_settings_say_elsewhere_for_what_they_were_published(recipe, dataset, label):
    for preset in ("quick", "paper"):
        assert recipes.label(recipes.bundled(recipe), parse("barlow"), [], dataset, preset) == label


def test_every_bundled_recipe_names_what_it_was_made_for_and_published_ones_are_no_default():
    for name in recipes.names():
        recipe = recipes.bundled(name)
        assert recipe.datasets, name
        assert bool(recipe.presets) == bool(recipe.provenance), name


def test_a_recipe_that_has_nothing_for_any_arm_is_refused():
    with pytest.raises(UserError, match=r"has settings for .*, not for --methods"):
        recipes.choose("cifar", "digits", "quick", [parse("explicit_mi")])


def test_bundled_recipes_are_unambiguous_and_name_known_methods():
    bundled = {name: recipes.bundled(name) for name in recipes.names()}
    defaults = [
        (dataset, preset) for recipe in bundled.values() for dataset in recipe.datasets for preset in recipe.presets
    ]
    assert len(defaults) == len(set(defaults))
    for recipe in bundled.values():
        assert {parse(name).method for name in recipe.methods} <= set(discover.names("methods"))
        assert {dataset.partition(":")[0] for dataset in recipe.datasets} <= set(discover.names("datasets"))


@pytest.mark.parametrize("name", recipes.names())
def test_every_bundled_setting_is_known_and_in_its_range(name):
    recipe = recipes.bundled(name)
    variants = [f"moco:version={version}" for version in (1, 2, 3)] if "moco" in recipe.methods else []
    for arm in map(parse, [*recipe.methods, *variants]):
        config = discover.load("methods", arm.method).Config
        words = words_for([*recipe.words(arm), *arm.words()], arm.short_name, [arm.short_name])
        filled = [*words, "epochs=1", "image_size=32", "precision=float32"]
        values = compose_protocol("standard", {}, arm.short_name, config, filled)
        del values["budget"]
        assert isinstance(build(config, values.pop("method"), arm.short_name), config)
        assert isinstance(build(Protocol, values), Protocol)


@pytest.mark.parametrize("recipe", ["cifar", "imagenet100"])
def test_rows_from_solo_learn_have_the_defaults_of_its_own_loss_functions(recipe):
    """What the same field of `solo/<name>`, which quotes solo-learn on CIFAR, is set to, or what is left to default.

    Two of `solo/dino` and one of `solo/swav` are ours, for short runs; solo-learn's (scripts/pretrain/cifar/dino.yaml,
    swav.yaml) stand here.
    """
    differing = {"dino": {"momentum": "0.9995", "teacher_temperature": "0.07"}, "swav": {"epsilon": "0.05"}}
    rows = recipes.bundled(recipe).methods
    for name in ("barlow", "vicreg", "simclr", "byol", "moco", "swav", "dino"):
        theirs = {**discover.describe("methods", f"solo/{name}").defaults, **differing.get(name, {})}
        ours = {
            **discover.describe("methods", name).defaults,
            **{key: repr(value) for key, value in rows[name].items()},
        }
        left_out = {"queue", "prototypes", "batch_norm", "normalise_output"}  # by data; heads are those of our method
        for key in set(theirs) & set(ours) - left_out:
            assert ours[key] == theirs[key], (name, key)
