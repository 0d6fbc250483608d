"""`study` as a user types it: what is tuned first, what is refused before any training, the report at the end."""

import argparse

import pytest
import torch

from bench.cli import main
from bench.commands.study import _analyse, _device_of_the_runs, _say_untuned
from bench.errors import UserError
from bench.hardware import resolve_precision
from bench.study import Chosen, Study, Tuning, plan_study

CPU = torch.device("cpu")
TINY = ["backbone.width=4", "projector.hidden=16", "projector.output=16", "epochs=1"]


@pytest.mark.parametrize("tune", [Tuning(16, {}), None])
@pytest.mark.parametrize("tuned", [0, 1, 2])
def test_a_study_says_how_many_arms_are_tuned_unless_all_are(tuned, tune, tmp_path, capsys):
    rows = ["  smi: {w: 7}\n", "  barlow:lambda_=0.02: {}\n"][:tuned]
    if rows:
        head = "label: tuned (2 trials)\ndatasets: [digits]\npresets: [quick]\nprovenance: {trials: 2}\nmethods:\n"
        (tmp_path / "digits-quick.yaml").write_text(head + "".join(rows))
    one = Study("T", "Q", arms=["smi", "barlow:lambda_=0.02", "random"], datasets={"digits": []}, words=TINY, tune=tune)
    chosen = Chosen(seeds=[0, 1], data_root=tmp_path, recipe="none", tuned=tmp_path)
    _say_untuned(one, plan_study(one, chosen, CPU)[0])
    advice = "`--tune` gives all the same budget" if tune else "the study's file has no `tune`"
    note = f"Note: {tuned} of 2 configurations have tuned settings; {advice}.\n"
    assert capsys.readouterr().out == ("" if tuned == 2 else note)


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
    assert main(["study", "transfer", "--dataset", "digits", "transfer.fine=", "transfer.coarse="]) == 2
    assert "Transfer needs targets" in capsys.readouterr().err


@pytest.mark.parametrize(("ends", "code"), [(KeyboardInterrupt(), 130), (UserError("no room"), 2)])
@pytest.mark.parametrize("words", [["ablation", "--dataset", "digits"], ["ablation", "--tune"], ["cost"]])
def test_what_ends_a_command_of_the_study_ends_the_study(words, ends, code, tmp_path, capsys, monkeypatch):
    """A study whose tuning was interrupted went on to its runs, untuned."""
    calls = []

    def end(arguments):
        calls.append(arguments)
        raise ends

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bench.commands.tune.main", end)
    monkeypatch.setattr("bench.commands.cost.main", end)
    assert main(["study", *words, "--output", "out", *(TINY if words != ["cost"] else [])]) == code
    assert len(calls) == 1
    assert ("no room" if code == 2 else "interrupted") in capsys.readouterr().err
    assert not list(tmp_path.glob("out/digits"))


@pytest.fixture
def estimated(monkeypatch):
    """Ids of the runs whose cost was to be estimated, by call; nothing is measured."""
    calls = []
    monkeypatch.setattr("bench.estimate.print_estimate", lambda specs, *_: calls.append([spec.id for spec in specs]))
    return calls


def test_tune_prints_the_command_that_gives_every_arm_the_same(tmp_path, capsys, monkeypatch, estimated):
    monkeypatch.chdir(tmp_path)
    words = ["--skip-corrupt", "--checkpoint-seconds", "9", "backbone.width=4"]
    assert main(["study", "ablation", "--tune", "--dry-run", "--dataset", "digits", *words]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("python"))
    assert line.startswith("python -m bench tune --methods smi,smi:transform=identity,smi:form=maxmin,")
    assert "--dataset digits --preset quick --trials 12 --output results/tuning" in line
    assert "--save results/tuning/ablation/digits-quick.yaml --epochs 26" in line
    assert line.endswith("--processes 1 --checkpoint-seconds 9.0 backbone.width=4 --skip-corrupt --dry-run")
    assert not (tmp_path / "results").exists()
    (trials,) = estimated
    assert len(set(trials)) == len(trials) == 12 * 11


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


@pytest.mark.parametrize(
    "words",
    [["--dataset", "digits"], ["--seeds", "2"], ["--store-root", "s"], ["--executor", "slurm"], ["epochs=3"]],
)
def test_a_study_of_other_commands_refuses_what_these_would_not_heed(words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["study", "cost", "--dry-run", *words]) == 2
    assert f"leave {words[0]} out" in capsys.readouterr().err


def test_analyses_compare_with_the_arm_that_the_study_declares(tmp_path, monkeypatch):
    """Of one method's arms it was the one with most runs."""
    told = []
    monkeypatch.setattr("bench.analysis.semi.analyse", lambda *_, reference, **__: told.append(reference))
    one = Study(
        "T", "Q", ["smi", "smi:w=7", "barlow"], {"digits": []}, words=TINY, reference="smi:w=7", analysis={"semi": {}}
    )
    specs, cells = plan_study(one, Chosen(seeds=[0, 1], data_root=tmp_path, recipe="none"), CPU)
    for spec in specs:
        folder = tmp_path / "out" / spec.id
        folder.mkdir(parents=True)
        (folder / "encoder.safetensors").touch()
    arguments = argparse.Namespace(
        output=tmp_path / "out",
        data_root=tmp_path,
        store_root=None,
        skip_corrupt=False,
        device="cpu",
        report_only=False,
    )
    _analyse(one, specs, cells, tmp_path / "report", arguments)
    (declared,) = (cell.key for cell in cells if cell.arm == "smi:w=7")
    assert told == [declared.removeprefix("digits/")]


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
    words += ["transfer.coarse=digits", "transfer.fine="]
    assert main(words) == 2  # there are no runs
    assert not (tmp_path / "results").exists()
    seen = []
    monkeypatch.setattr("bench.commands.study._analyse", lambda *_: None)
    monkeypatch.setattr("bench.commands.study.print_report", lambda outputs, folder, declared: seen.append(declared))
    assert main(words) == 0
    assert seen[0].study.command.endswith(f"{' '.join(TINY)} transfer.coarse=digits transfer.fine=")


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
