"""Names from files, patterns, and what is said of a method whose package is not installed."""

from importlib.metadata import PackageNotFoundError

import pytest

from bench import discover
from bench.cli import main
from bench.errors import UserError

INSTALL = "pip install --no-deps solo-learn==1.0.2"


@pytest.fixture
def solo_learn_version(monkeypatch):
    """Sets which version of solo-learn is installed; None for no version."""

    def pretend(installed):
        def version(package):
            if installed is None:
                raise PackageNotFoundError(package)
            return installed

        monkeypatch.setattr(discover, "version", version)

    return pretend


def test_a_file_in_a_folder_is_called_by_both_names_and_a_helper_by_none():
    names = discover.names("methods")
    assert {"barlow", "solo/barlow"} <= set(names)
    assert names == sorted(names)
    assert not any(part.startswith("_") for name in names for part in name.split("/"))


def test_all_is_every_method_of_our_own():
    every = discover.expand("methods", ["all"])
    assert every == [name for name in discover.names("methods") if "/" not in name]


def test_a_pattern_does_not_cross_a_slash():
    assert "smi" in discover.expand("methods", ["s*"])
    assert not any("/" in name for name in discover.expand("methods", ["s*"]))
    solo = [name for name in discover.names("methods") if name.startswith("solo/")]
    assert discover.expand("methods", ["solo/*"]) == solo
    assert discover.expand("methods", ["solo/sim[cs]*"]) == ["solo/simclr", "solo/simsiam"]


def test_what_is_named_beside_a_pattern_is_not_repeated():
    assert discover.expand("methods", ["smi", "barlow"]) == ["smi", "barlow"]
    expanded = discover.expand("methods", ["sm*", "all", "barlow", "file:a*.py"])
    assert sorted(expanded) == sorted([*discover.expand("methods", ["all"]), "file:a*.py"])


def test_a_pattern_without_a_match_is_refused_with_a_hint():
    with pytest.raises(UserError, match=r"'solo/barlo\?\?' matches no method\. Did you mean 'solo/barlow'\?"):
        discover.expand("methods", ["solo/barlo??"])


def test_every_method_of_solo_learn_names_the_same_package():
    solo = discover.expand("methods", ["solo/*"])
    assert {discover.describe("methods", name).requires for name in solo} == {INSTALL}


@pytest.mark.parametrize(
    ("installed", "missing"),
    [
        (None, f"needs solo-learn: {INSTALL}"),
        ("1.0.6", f"needs solo-learn 1.0.2, not 1.0.6: {INSTALL}"),
        ("1.0.2", ""),
    ],
)
def test_a_missing_package_is_listed(solo_learn_version, capsys, installed, missing):
    solo_learn_version(installed)
    assert discover.describe("methods", "solo/barlow").missing == missing
    assert discover.describe("methods", "barlow").missing == ""
    assert main(["list", "methods"]) == 0
    assert ("needs solo-learn" in capsys.readouterr().out) == bool(missing)


def test_a_method_whose_package_is_missing_is_one_line_and_exit_code_2(solo_learn_version, capsys, tmp_path):
    solo_learn_version(None)
    words = ["run", "--methods", "barlow,solo/barlow", "--dataset", "digits", "--output", str(tmp_path / "runs")]
    assert main([*words, "--data-root", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"bench: solo/barlow needs solo-learn: {INSTALL}\n"
    assert not (tmp_path / "runs").exists()
