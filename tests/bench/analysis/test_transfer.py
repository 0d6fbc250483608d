"""Transfer and few labels: finished runs under the same evaluation on other pictures and fewer labels."""

import dataclasses
import shutil

import pandas as pd
import pytest

from bench.analysis import semi, transfer
from bench.analysis.runs import by_data, finished
from bench.cli import main
from bench.data import load, stratified_rows
from bench.datasets._store import prepare
from bench.errors import UserError
from bench.evaluate.linear import Labelled
from bench.evaluate.protocol import Parts, evaluate, labelled_features
from bench.plan import open_dataset
from bench.reports.declared import Declared
from bench.reports.page import Selection, write_report
from bench.seeds import derive


@pytest.fixture(scope="module")
def transferred(runs, where, darkness, tmp_path_factory):
    folder = tmp_path_factory.mktemp("transfer")
    return transfer.analyse(runs, folder, where, fine=f"folder:{darkness}", coarse="digits").parent


def test_a_target_is_scored_as_a_run_on_it_is_but_normalised_as_in_pretraining(transferred, runs, where):
    table = pd.read_csv(transferred / "measures.csv").set_index("id")
    assert len(table) == len(runs)
    members, source = next(by_data(finished(runs), where))
    run, target = members[0], load(prepare(open_dataset("digits"), where.data_root), where.device)
    seen = dataclasses.replace(target, mean=source.mean, std=source.std)
    parts = labelled_features(run.encoder(where.device), seen, 16, "float32")
    expected = evaluate(parts, 10, 20, 0.07).scores
    assert table.loc[run.spec.id, "digits.linear"] == pytest.approx(expected["linear"])
    assert table.loc[run.spec.id, "digits.knn"] == pytest.approx(expected["knn"])


def test_the_kinds_are_told_apart_and_averaged(transferred):
    table = pd.read_csv(transferred / "measures.csv")
    dark = next(column for column in table if "dark" in column and column.endswith(".linear"))
    assert (table["fine.linear"] == table[dark]).all()
    assert table["all.linear"].to_numpy() == pytest.approx(((table[dark] + table["digits.linear"]) / 2).to_numpy())
    section = (transferred / "section.md").read_text()
    assert "to fine-grained datasets" in section
    assert "to coarse datasets" in section


def test_the_data_of_pretraining_are_no_target(runs, where, pictures, tmp_path):
    transfer.analyse(runs, tmp_path, where, coarse=f"folder:{pictures},digits")
    columns = [column for column in pd.read_csv(tmp_path / "measures.csv") if column.endswith(".linear")]
    assert sorted(columns) == ["all.linear", "coarse.linear", "digits.linear"]


def test_few_labels_are_the_probes_on_a_share_of_every_class(runs, where, tmp_path):
    semi.analyse(runs, tmp_path, where, fractions="0.25,1")
    table = pd.read_csv(tmp_path / "measures.csv").set_index("id")
    members, data = next(by_data(finished(runs), where))
    run = members[-1]
    parts = labelled_features(run.encoder(where.device), data, 16, "float32")
    seed = derive(run.spec.axis_seed("probe"), "labels")

    def few(part):
        rows = stratified_rows(part.labels.numpy(), 0.25, seed)
        return Labelled(part.features[rows], part.labels[rows])

    expected = evaluate(Parts(few(parts.train), few(parts.validation), parts.test), 3, 20, 0.07).scores
    assert table.loc[run.spec.id, "linear_25"] == pytest.approx(expected["linear"])
    assert table.loc[run.spec.id, "knn_25"] == pytest.approx(expected["knn"])
    whole = evaluate(parts, 3, 20, 0.07).scores
    assert table.loc[run.spec.id, "linear_100"] == pytest.approx(whole["linear"])
    assert "linear, 25 %" in (tmp_path / "section.md").read_text()


@pytest.mark.parametrize("text", ["0", "1.5", "many", ""])
def test_a_share_of_labels_out_of_range_is_refused(text, runs, where, tmp_path):
    with pytest.raises(UserError, match="shares of the labels above 0"):
        semi.analyse(runs, tmp_path, where, fractions=text)


@pytest.mark.slow
def test_both_are_columns_of_a_report_by_choice_and_verified(runs, where, tmp_path, capsys):
    output, report = tmp_path / "runs", tmp_path / "report"
    shutil.copytree(runs[0].parents[3], output)
    options = ["--device", "cpu", "--data-root", str(where.data_root)]
    assert main(["analyse", "semi", str(output), "--fractions", "0.25,1", *options]) == 0
    assert main(["analyse", "transfer", str(output), "--coarse", "digits", *options]) == 0
    words = ["--columns", "linear,linear_25,digits.knn", "--format", "md,csv,html", "--destination", str(report)]
    assert main(["report", str(output), *words]) == 0
    (table,) = (report / "tables").glob("*squares*.csv")
    rows = pd.read_csv(table).set_index("method")
    for name, analysis in {"linear_25": "semi", "digits.knn": "transfer"}.items():
        values = pd.read_csv(output / "analysis" / analysis / "measures.csv").set_index("id")[name]
        means = values.groupby(lambda identifier: identifier.split("/")[1]).mean()
        assert rows[f"{name}_mean"].to_dict() == pytest.approx(means.to_dict())
    page = (report / "report.md").read_text(encoding="utf-8")
    assert "linear at 25 % labels %" in page
    assert "kNN on digits %" in page
    assert "linear at 100 %" not in page
    for outputs in ([str(output)], []):
        assert main(["verify", str(report), *outputs]) == 0
    path = output / "analysis" / "semi" / "measures.csv"
    measured = pd.read_csv(path)
    measured["linear_25"] = 0.987
    measured.to_csv(path, index=False)
    capsys.readouterr()
    assert main(["verify", str(report), str(output)]) == 1
    assert "scores.linear_25" in capsys.readouterr().out


def test_a_score_with_few_labels_can_decide(runs, where, tmp_path):
    output = tmp_path / "runs"
    shutil.copytree(runs[0].parents[3], output)
    semi.analyse([output / run.relative_to(runs[0].parents[3]) for run in runs], output / "analysis/semi", where)
    report = write_report([output], tmp_path / "report", Declared(metric="knn_10"), Selection(formats=["md"]))
    assert "kNN accuracy at 10 % labels" in report.markdown
    path = output / "analysis" / "semi" / "measures.csv"
    path.write_text("id,linear_1\n" + "".join(f"{run.relative_to(runs[0].parents[3])},many\n" for run in runs))
    with pytest.raises(UserError, match="something else than fractions under 'linear_1'"):
        write_report([output], tmp_path / "report", Declared(columns=["linear_1"]), Selection(formats=["md"]))
