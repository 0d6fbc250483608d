"""The geometry of finished runs, from their folders to the section of a report."""

import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from bench.analysis import geometry, representation
from bench.analysis.runs import by_data, chosen_rows, finished
from bench.errors import UserError
from bench.evaluate.features import extract


@pytest.fixture(scope="module")
def analysed(runs, where, tmp_path_factory):
    folder = tmp_path_factory.mktemp("geometry")
    return geometry.analyse(runs, folder, where, images=20).parent


def test_a_row_per_run_equals_the_measures_of_its_features(analysed, runs, where):
    table = pd.read_csv(analysed / "measures.csv").set_index("id")
    assert len(table) == len(runs) == 6
    members, data = next(by_data(finished(runs), where))
    rows = chosen_rows(data.test, 20, seed=0)
    assert len(rows) == 20
    run = members[0]
    features = extract(run.encoder(where.device), data.test, 16, data.mean, data.std, "float32", rows)
    found = table.loc[run.spec.id]
    assert found["effective_rank"] == pytest.approx(representation.effective_rank(features))
    assert found["uniformity"] == pytest.approx(representation.uniformity(features))
    assert found["class_separation"] == pytest.approx(representation.class_separation(features, data.test.labels[rows]))
    assert table["class_separation"].min() > 0.1  # three plain colours are far apart in any network
    spectrum = pd.read_csv(analysed / "spectrum.csv")
    shares = spectrum[spectrum["id"] == run.spec.id]["share"]
    assert np.allclose(shares, representation.spectrum(features))


def test_cka_knows_the_same_encoder_under_two_names(analysed):
    """The runs are untrained: at one seed all methods have the same encoder, at another seed another one."""
    pairs = pd.read_csv(analysed / "cka.csv")
    assert len(pairs) == 6 * 5 / 2
    same = pairs["id_a"].str[-1] == pairs["id_b"].str[-1]
    assert np.allclose(pairs[same]["cka"], 1.0)
    assert (pairs[~same]["cka"] < 0.999).all()


def test_the_section_compares_with_the_reference_and_counts_who_is_missing(runs, where, tmp_path):
    folders = [*runs[:4], tmp_path / "none"]
    incomplete = runs[0].parents[3] / runs[5].relative_to(runs[5].parents[3])
    copy = tmp_path / "runs"
    shutil.copytree(runs[0].parents[3], copy)
    folders = [copy / folder.relative_to(runs[0].parents[3]) for folder in runs]
    (copy / incomplete.relative_to(runs[0].parents[3]) / "encoder.safetensors").unlink()
    section = geometry.analyse(folders, tmp_path / "out", where, images=12, reference="smi").read_text()
    assert "the difference to SMI (reconstructed)" in section
    assert "Without an encoder, and not in this table: 1 run (1 completed)." in section
    figures = {path.name.split("-")[1] for path in (tmp_path / "out" / "figures").glob("*.png")}
    assert figures == {"balance", "spectrum", "cka", "training"}
    assert all(f"({name})" in section for name in ("<figures/geometry-cka-folder-squares.png>",))


def test_a_dataset_without_an_encoder_is_left_out(runs, where, tmp_path):
    """As that of runs that all failed: the section ended in an error behind all measurements."""
    copy = tmp_path / "runs"
    shutil.copytree(runs[0].parents[3], copy)
    other = copy / "other" / runs[0].relative_to(runs[0].parents[2])
    shutil.copytree(runs[0], other)
    (other / "encoder.safetensors").unlink()
    (other / "result.json").unlink()
    config = yaml.safe_load((other / "config.yaml").read_text())
    config["dataset"] |= {"name": "other", "key": "other", "fingerprint": "0" * 64}
    (other / "config.yaml").write_text(yaml.safe_dump(config))
    folders = [*(copy / folder.relative_to(runs[0].parents[3]) for folder in runs), other]
    section = geometry.analyse(folders, tmp_path / "out", where, images=12, reference="smi").read_text()
    assert section.count("Geometry of the encoder's output on 12 test images") == 1


@pytest.mark.slow
def test_the_same_again_gives_the_same_bytes(analysed, runs, where, tmp_path):
    geometry.analyse(runs, tmp_path, where, images=20)
    files = [path.relative_to(analysed) for path in analysed.rglob("*.*") if path.suffix in (".csv", ".md", ".png")]
    assert len(files) > 6
    assert all((tmp_path / name).read_bytes() == (analysed / name).read_bytes() for name in files)


def test_mistakes_are_one_line(runs, where, tmp_path):
    with pytest.raises(UserError, match="nothing to analyse"):
        geometry.analyse([tmp_path], tmp_path / "out", where)
    copy = tmp_path / "runs" / runs[0].relative_to(runs[0].parents[3])
    shutil.copytree(runs[0], copy)
    config = yaml.safe_load((copy / "config.yaml").read_text())
    config["dataset"]["fingerprint"] = "0" * 64
    (copy / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(UserError, match="trained on other pictures"):
        geometry.analyse([copy], tmp_path / "out", where)
    config["epochs"] = 0
    (copy / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(UserError, match="not the configuration of a run of this version"):
        finished([copy])


def test_rows_are_labelled_distinct_and_drawn_by_the_seed(runs, where):
    _, data = next(by_data(finished(runs), where))
    labels = data.test.labels.clone()
    labels[:5] = -1
    images = dataclasses.replace(data.test, labels=labels)
    rows = chosen_rows(images, 10, seed=1)
    assert len(rows.unique()) == 10
    assert (rows >= 5).all()
    assert torch.equal(rows, chosen_rows(images, 10, seed=1))
    assert not torch.equal(rows, chosen_rows(images, 10, seed=2))
    assert len(chosen_rows(images, 1000, seed=1)) == len(labels) - 5
