"""Study files and the plans they compose into."""

import dataclasses
import json

import pytest
import torch

from bench import study
from bench.cli import main
from bench.commands.study import _device_of_the_runs, _say_untuned
from bench.errors import UserError
from bench.hardware import resolve_precision
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
        ("title: T\nquestion: Q\nanalysis: {geometri: {}}\n", "Did you mean 'geometry'"),
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


@pytest.mark.parametrize("tune", [Tuning(16, {}), None])
@pytest.mark.parametrize("tuned", [0, 1, 2])
def test_a_study_says_how_many_arms_are_tuned_unless_all_are(tuned, tune, tmp_path, capsys):
    rows = ["  smi: {w: 7}\n", "  barlow: {}\n"][:tuned]
    if rows:
        head = "label: tuned (2 trials)\ndatasets: [digits]\npresets: [quick]\nprovenance: {trials: 2}\nmethods:\n"
        (tmp_path / "digits-quick.yaml").write_text(head + "".join(rows))
    one = small(arms=["smi", "barlow", "random"], tune=tune)
    _say_untuned(one, plan_study(one, chosen(tmp_path, tuned=tmp_path), CPU)[0])
    advice = "`--tune` gives all the same budget" if tune else "the study's file has no `tune`"
    note = f"Note: {tuned} of 2 configurations have tuned settings; {advice}.\n"
    assert capsys.readouterr().out == ("" if tuned == 2 else note)


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


def test_a_dataset_that_only_an_analysis_needs_is_missed_before_any_training(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [
        "study",
        "transfer",
        "--dataset",
        "digits",
        "--output",
        "out",
        "transfer.fine=folder:nowhere",
        "transfer.coarse=",
    ]
    assert main(words) == 2
    assert "nowhere" in capsys.readouterr().err
    assert not list(tmp_path.glob("out/digits"))


def test_transfer_without_targets_is_refused_before_any_training(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["study", "transfer", "--dataset", "digits", "transfer.coarse="]) == 2
    assert "Transfer needs targets" in capsys.readouterr().err


def test_variants_are_analysed_apart(tmp_path):
    one = small(grid={"batch_size": ["32", "64"]})
    _, cells = plan_study(one, chosen(tmp_path), CPU)
    apart = study.variants_apart(cells)
    assert list(apart) == ["batch_size-32", "batch_size-64"]
    assert sorted(key for keys in apart.values() for key in keys) == sorted(cell.key for cell in cells)
    assert [len(keys) for keys in apart.values()] == [2, 2]
    _, cells = plan_study(small(), chosen(tmp_path), CPU)
    assert list(study.variants_apart(cells)) == [""]


@pytest.fixture
def estimated(monkeypatch):
    """Ids of the runs whose cost was to be estimated, by call; nothing is measured."""
    calls = []
    monkeypatch.setattr("bench.estimate.print_estimate", lambda specs, *_: calls.append([spec.id for spec in specs]))
    return calls


def test_tune_prints_the_command_that_gives_every_arm_the_same(tmp_path, capsys, monkeypatch, estimated):
    monkeypatch.chdir(tmp_path)
    assert main(["study", "ablation", "--tune", "--dry-run", "--dataset", "digits", "backbone.width=4"]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("python"))
    assert line.startswith("python -m bench tune --methods smi,smi:transform=identity,smi:form=maxmin,")
    assert "--dataset digits --preset quick --trials 12 --output results/tuning" in line
    assert "--save results/tuning/ablation/digits-quick.yaml --epochs 26" in line
    assert line.endswith("backbone.width=4 --dry-run")
    assert not (tmp_path / "results").exists()
    (trials,) = estimated
    assert len(set(trials)) == len(trials) == 12 * 11


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


def test_a_study_tunes_first_unless_told_otherwise(tmp_path, capsys, monkeypatch, estimated):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bench.commands.study.carry_out", lambda arguments, planner, report: len(planner(CPU)) - 2)
    words = ["study", "ablation", "--dry-run", "--dataset", "digits", "--seeds", "1"]
    tuned = tmp_path / "results/tuning/ablation/digits-quick.yaml"
    for more, searches in (([], 1), (["--untuned"], 0), (["--recipe", "none"], 0)):
        assert main([*words, *more]) == 0
        assert capsys.readouterr().out.count("python -m bench tune") == searches
        assert len(estimated) == 1
    tuned.parent.mkdir(parents=True)
    tuned.write_text("label: tuned (2 trials)\ndatasets: [digits]\npresets: [quick]\nmethods: {smi: {w: 7}}\n")
    assert main(words) == 0
    assert "python -m bench tune" not in capsys.readouterr().out


def test_tune_prints_the_searches_of_what_is_tuned_anew(tmp_path, capsys, monkeypatch, estimated):
    monkeypatch.chdir(tmp_path)
    assert main(["study", "robustness", "--tune", "--dry-run", "--dataset", "digits"]) == 0
    first, second = (line for line in capsys.readouterr().out.splitlines() if line.startswith("python"))
    assert "--rates" not in first
    assert "--save results/tuning/robustness/digits-quick-SGD.yaml --epochs 26 --rates 0.001,1" in second
    assert second.endswith("optimizer.name=sgd --dry-run")
    assert len(estimated) == 2


def test_a_reports_command_has_the_words_for_the_grid_and_the_analyses(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["study", "transfer", "--report-only", "--dataset", "digits", "--seeds", "1", *TINY]
    main([*words, "transfer.coarse=digits", "transfer.fine="])
    declared = json.loads((tmp_path / "results/studies/transfer/declared.json").read_text())
    assert declared["study"]["command"].endswith(f"{' '.join(TINY)} transfer.coarse=digits transfer.fine=")


@pytest.mark.slow
def test_a_study_from_its_file_to_its_verified_report(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.yaml"
    path.write_text(
        "title: Mine\nquestion: Q\narms: [smi, barlow]\ndatasets: {digits: []}\nreference: barlow\nsection: grid\n"
        "tune: {trials: 2, epochs: {digits: 1}, anew: {batch_size: []}}\n"
        f"grid: {{batch_size: [64, 128]}}\nwords: [{', '.join(TINY)}]\nanalysis: {{semi: {{fractions: '0.1'}}}}\n"
    )
    words = ["study", str(path), "--seeds", "2", "--output", "out", "--data-root", str(tmp_path / "data")]
    assert main(words) == 0
    assert sorted(path.name for path in tmp_path.glob("out/tuning/mine/*.yaml")) == [
        "digits-quick-batch_size-128.yaml",
        "digits-quick-batch_size-64.yaml",
    ]
    assert len(list(tmp_path.glob("out/tuning/digits/*/*/seed10000/result.json"))) == 8
    report = tmp_path / "out/studies/mine"
    assert "tuned (2 trials)" in (report / "report.md").read_text()
    for size in (64, 128):
        assert (report / f"analysis/semi/batch_size-{size}/measures.csv").read_text().count("\n") == 5
        assert f"analysis/semi/batch_size-{size}/section.md" in (report / "report.md").read_text()
    assert (report / "tables/study-changes-digits.csv").is_file()
    before = {found: found.stat().st_mtime_ns for found in tmp_path.glob("out/digits/*/*/*/result.json")}
    assert len(before) == 8
    assert main(words) == 0
    assert before == {found: found.stat().st_mtime_ns for found in before}
    assert main(["verify", "out/studies/mine", "out"]) == 0


def test_a_report_of_runs_on_gpus_needs_no_gpu():
    """Their precision is that of a GPU, which is part of what they are called."""
    device = _device_of_the_runs("cuda")
    assert resolve_precision("auto", device) == "bfloat16"
    assert _device_of_the_runs("cpu").type == "cpu"
