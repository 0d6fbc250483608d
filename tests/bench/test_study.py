"""Study files and the plans they compose into."""

import dataclasses

import pytest
import torch

from bench import study
from bench.errors import UserError
from bench.study import Chosen, Study, Tuning, plan_study, read, with_values

CPU = torch.device("cpu")
TINY = ["backbone.width=4", "projector.hidden=16", "projector.output=16", "epochs=1"]


def small(**changes):
    values = {"title": "T", "question": "Q", "arms": ["smi", "barlow"], "datasets": {"digits": []}, "words": TINY}
    return Study(**{**values, **changes})


def chosen(tmp_path, **changes):
    return Chosen(**{"seeds": [0, 1], "data_root": tmp_path, "recipe": "none", **changes})


@pytest.mark.parametrize("name", study.names())
def test_every_study_of_the_suite_can_be_read(name):
    found = read(name)
    assert found.title
    assert found.arms or found.commands
    if found.arms:
        assert found.tune is not None
        assert (found.tune.trials, found.tune.epochs) == (
            12,
            {name: {"digits": 26, "imagewoof": 4}[name] for name in found.datasets},
        )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title: T\nquestion: Q\narms: [smi]\n", "needs datasets"),
        ("title: T\nquestion: Q\nquestions: Q\n", "Did you mean 'question'"),
        ("question: Q\n", "'title' is missing"),
        ("[1]", "is no study"),
        ("title: [", "cannot be read"),
        ("title: T\nquestion: Q\ngrid: {a: [1]}\nvariants: {b: []}\n", "a grid or variants"),
        ("title: T\nquestion: Q\nsection: grid\ngrid: {form: [match]}\n", "of numbers alone"),
        ("title: T\nquestion: Q\nsection: ranking\n", "needs variants"),
        ("title: T\nquestion: Q\narms: [smi]\ndatasets: {digits: []}\nreference: smy\n", "Did you mean 'smi'"),
        ("title: T\nquestion: Q\nvariants: {SGD: []}\ntune: {trials: 2, epochs: {}, anew: {SDG: []}}\n", "mean 'SGD'"),
        (
            "title: T\nquestion: Q\nvariants: {a: []}\ntune: {trials: 2, epochs: {}, anew: {a: [1]}}\n",
            "the lower first",
        ),
        ("title: T\nquestion: Q\ngrid: {batch_size: []}\n", "has no values"),
        ("title: T\nquestion: Q\nmargin: 0\n", "percentage points"),
        ("title: T\nquestion: Q\nsection: factors\n", "go together"),
        ("title: T\nquestion: Q\ntune: {trials: 0, epochs: {}}\n", "at least one"),
        ("title: T\nquestion: Q\ndatasets: {digits: []}\ntune: {trials: 2, epochs: {digit: 1}}\n", "mean 'digits'"),
        ("title: T\nquestion: Q\nanalysis: {geometri: {}}\n", "Did you mean 'geometry'"),
        ("title: T\nquestion: Q\naccuracy_in: mian\n", "mian is no study. Did you mean 'main'"),
        ("title: T\nquestion: Q\nanalysis: {geometry: {image: '9'}}\n", "Did you mean 'images'"),
        ("title: T\nquestion: Q\nanalysis: {geometry: {images: some}}\n", "needs a whole number"),
        ("title: T\nquestion: Q\nanalysis: {localisation: {annotations: /nowhere}}\n", "no folder of annotations"),
    ],
)
def test_a_mistake_in_a_study_file_is_one_line(text, message, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        read(str(path))
    assert "\n" not in str(caught.value)


def test_an_unknown_study_is_refused_with_the_nearest_one():
    with pytest.raises(UserError, match=r"no study 'ablatoin'\. Did you mean 'ablation'"):
        read("ablatoin")


def test_a_grid_is_every_combination_and_variants_are_by_name():
    grid = small(grid={"batch_size": ["32", "64"], "projector.output": ["8", "16"]}).cells()
    assert len(grid) == 4
    assert grid[1] == ({"batch_size": "32", "projector.output": "16"}, ["batch_size=32", "projector.output=16"])
    assert small(variants={"all": [], "init": ["seeds.order=0"]}).cells()[1] == (
        {"variant": "init"},
        ["seeds.order=0"],
    )
    assert small().cells() == [({}, [])]


def test_words_replace_an_axis_and_options_of_an_analysis():
    one = small(grid={"batch_size": ["32"]}, section="grid", analysis={"transfer": {"coarse": "digits"}})
    changed, rest = with_values(one, ["batch_size=16,64", "transfer.fine=folder:a,folder:b", "smi.w=3"])
    assert changed.grid == {"batch_size": ["16", "64"]}
    assert changed.analysis == {"transfer": {"coarse": "digits", "fine": "folder:a,folder:b"}}
    assert rest == ["smi.w=3"]
    with pytest.raises(UserError, match="numbers alone"):
        with_values(one, ["batch_size=many"])


def test_a_plan_has_every_cell_at_every_seed_seeds_outermost(tmp_path):
    specs, cells = plan_study(small(grid={"batch_size": ["32", "64"]}), chosen(tmp_path), CPU)
    assert [spec.seed for spec in specs] == [0] * 4 + [1] * 4
    assert len({spec.id for spec in specs}) == 8
    keys = {cell.key: cell for cell in cells}
    for spec in specs:
        cell = keys[study.key_of(spec)]
        assert cell.variant == {"batch_size": str(spec.protocol.batch_size)}
        assert cell.arm == spec.method.name
        assert cell.dataset == "digits"


def test_the_datasets_own_words_are_for_the_studys_preset_alone(tmp_path):
    one = small(words=[], datasets={"digits": ["backbone.width=4"]})
    quick, standard = (plan_study(one, chosen(tmp_path, preset=preset), CPU)[0][0] for preset in (None, "standard"))
    assert quick.protocol.backbone.width == 4
    assert standard.protocol.backbone.width is None


def test_two_variants_that_are_one_run_are_refused(tmp_path):
    one = small(variants={"a": [], "b": ["batch_size=256"]})
    with pytest.raises(UserError, match="smi, digits, variant=b is the same run as smi, digits, variant=a"):
        plan_study(one, chosen(tmp_path), CPU)


def test_what_the_study_tuned_goes_before_other_recipes(tmp_path):
    folder = tmp_path / "tuning"
    folder.mkdir()
    (folder / "digits-quick.yaml").write_text(
        "label: tuned (2 trials)\ndatasets: [digits]\npresets: [quick]\n"
        "provenance: {trials: 2}\nmethods: {smi: {w: 7}}\n"
    )
    smi, barlow = plan_study(small(), chosen(tmp_path, tuned=folder, seeds=[0]), CPU)[0]
    assert (smi.method.config["w"], smi.recipe.partition(",")[0]) == (7, "tuned (2 trials)")
    assert barlow.recipe == "default"


def test_the_untrained_arms_are_not_tuned():
    assert [arm.name for arm in study.trained(small(arms=["smi", "random", "barlow"]))] == ["smi", "barlow"]


@pytest.mark.slow
def test_every_study_can_be_planned(tmp_path):
    for name in study.names():
        one = read(name)
        if "digits" in one.datasets:
            one = dataclasses.replace(one, datasets={"digits": []})
            for preset in (None, "standard"):
                specs, cells = plan_study(one, chosen(tmp_path, preset=preset), CPU)
                assert len(specs) == 2 * len(cells) == 2 * len(one.arms) * len(one.cells())


def test_variants_are_analysed_apart(tmp_path):
    one = small(grid={"batch_size": ["32", "64"]})
    _, cells = plan_study(one, chosen(tmp_path), CPU)
    apart = study.variants_apart(cells)
    assert list(apart) == ["batch_size-32", "batch_size-64"]
    assert sorted(key for keys in apart.values() for key in keys) == sorted(cell.key for cell in cells)
    assert [len(keys) for keys in apart.values()] == [2, 2]
    _, cells = plan_study(small(), chosen(tmp_path), CPU)
    assert list(study.variants_apart(cells)) == [""]


GRID = {"grid": {"batch_size": ["32", "64"], "projector.output": ["8", "16"]}}
VARIANTS = {"variants": {"standard": [], "SGD": ["optimizer.name=sgd"]}}


@pytest.mark.parametrize(
    ("shape", "anew", "searches"),
    [
        (GRID, {}, {"": ([], [])}),
        (
            GRID,
            {"batch_size": []},
            {"batch_size=32": (["batch_size=32"], []), "batch_size=64": (["batch_size=64"], [])},
        ),
        (VARIANTS, {"SGD": [0.01, 1.0]}, {"": ([], []), "SGD": (["optimizer.name=sgd"], [0.01, 1.0])}),
        (
            {"variants": {"a=1": ["epochs=2"], "a=1 b": ["epochs=3"]}},
            {"a=1": [], "a=1 b": [0.1, 1.0]},
            {"a=1": (["epochs=2"], []), "a=1 b": (["epochs=3"], [0.1, 1.0])},
        ),
    ],
)
def test_what_is_tuned_anew_has_a_search_and_a_recipe_of_its_own(shape, anew, searches, tmp_path):
    one = small(tune=Tuning(16, {}, anew), **shape)
    assert one.tunings() == searches
    head = "label: tuned (2 trials)\ndatasets: [digits]\npresets: [quick]\nprovenance: {trials: 2}\nmethods:\n"
    expected = {}
    for number, at in enumerate(searches, start=1):
        (tmp_path / study.tuned_name("digits", "quick", at)).write_text(f"{head}  smi: {{w: {number}}}\n")
        expected[at] = number
    specs, cells = plan_study(one, chosen(tmp_path, tuned=tmp_path, seeds=[0]), CPU)
    variants = {cell.key: cell.variant for cell in cells}
    for spec in specs:
        if spec.method.name == "smi":
            assert spec.method.config["w"] == expected[one.tuned_at(variants[study.key_of(spec)])]
