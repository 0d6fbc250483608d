"""The import arrows and the namespace rule."""

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGIN = {"bench.api", "bench.errors", "bench.files"}
"""What plug-ins may import of the harness."""


def imports(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | (
                {f"bench.{alias.name}" for alias in node.names} if node.module == "bench" else set()
            )
    return {name for name in found if name.split(".")[0] == "bench"} - {"bench"}


@pytest.mark.parametrize("folder", ["methods", "datasets"])
def test_plugins_know_the_contracts_and_their_own_helpers_alone(folder):
    for path in (ROOT / folder).rglob("*.py"):
        helpers = (f"bench.{folder}._", f"bench.{folder}.solo._")
        namesake = {f"bench.methods.{path.stem}"} if path.parent.name == "solo" else set()
        outside = {name for name in imports(path) if not name.startswith(helpers)} - PLUGIN - namesake
        assert not outside, f"{path.name} imports {outside}"


def test_reports_know_files_and_errors_alone():
    for path in (ROOT / "reports").glob("*.py"):
        outside = {name for name in imports(path) if not name.startswith("bench.reports")}
        assert outside <= {"bench.errors", "bench.files", "bench.store"}, f"{path.name} imports {outside}"


def test_only_commands_know_the_cluster_and_the_cluster_knows_no_plugin():
    for path in (ROOT / "bench").rglob("*.py"):
        if path.parent.name != "commands":
            assert not {name for name in imports(path) if name.startswith("bench.slurm")}, path
    for path in (ROOT / "slurm").glob("*.py"):
        assert not {name for name in imports(path) if name.startswith(("bench.methods", "bench.datasets"))}, path


def test_the_harness_does_not_know_single_plugins():
    for path in (ROOT / "bench").rglob("*.py"):
        named = {name for name in imports(path) if name.startswith(("bench.methods.", "bench.datasets."))}
        known = ("datasets._check", "datasets._store", "datasets._streamed", "methods._momentum")
        helpers = {f"bench.{name}" for name in known}
        assert named <= helpers, f"{path} imports {named}"


def test_every_method_is_held_against_a_reference():
    """By a test of its gradient in a file of its own; tests/methods/test_solo.py counts those of solo-learn."""
    methods = {path.stem for path in (ROOT / "methods").glob("[!_]*.py")} - {"random"}  # which has no gradient
    for name in sorted(methods):
        path = ROOT / "tests/methods" / f"test_{name}.py"
        assert path.is_file(), f"methods/{name}.py has no {path.name}"
        assert f"bench.methods.{name}" in imports(path)
        functions = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
        assert [one for one in functions if "gradient" in one and "no_gradient" not in one], f"{path.name} has none"


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["run", "--help"],
        ["resubmit", "--help"],
        ["list", "methods"],
        ["list", "datasets"],
        ["list", "presets"],
        ["list", "studies"],
    ],
)
def test_light_commands_do_not_import_torch(words):
    program = (
        "import sys\nfrom bench.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "assert not {'torch', 'scipy', 'pandas', 'hydra', 'submitit', 'tensorboard'} & set(sys.modules), 'heavy import'"
    )
    done = subprocess.run([sys.executable, "-c", program, *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_a_package_called_datasets_beside_ours_still_imports(tmp_path):
    """Hugging Face's `datasets` is on many machines; ours must not stand in its way, nor it in ours."""
    stranger = tmp_path / "datasets"
    stranger.mkdir()
    (stranger / "__init__.py").write_text("whose = 'a stranger'")
    program = (
        f"import sys; sys.path.append({str(tmp_path)!r})\n"
        "import datasets, bench.datasets.digits as ours\n"
        "assert datasets.whose == 'a stranger' and ours.__name__ == 'bench.datasets.digits'"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_wheel_adds_only_bench_and_works(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(ROOT)],
        check=True,
        cwd=tmp_path,
    )
    wheel = next(tmp_path.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
        archive.extractall(tmp_path / "site")
    assert {top for top in tops if not top.endswith(".dist-info")} == {"bench"}
    profiles = {path.name for path in (tmp_path / "site/bench/slurm/profiles").iterdir()}
    assert profiles == {path.name for path in (ROOT / "slurm/profiles").iterdir()}
    data = {path.name for path in (ROOT / "reports").iterdir() if path.suffix in (".yaml", ".html", ".css", ".js")}
    assert data == {path.name for path in (tmp_path / "site/bench/reports").iterdir() if path.suffix != ".py"}
    command = [sys.executable, "-m", "bench", "list", "methods", "--names"]
    listed = subprocess.run(command, cwd=tmp_path / "site", capture_output=True, text=True, check=True).stdout.split()
    files = [path.relative_to(ROOT / "methods") for path in (ROOT / "methods").rglob("[!_]*.py")]
    assert listed == sorted(path.with_suffix("").as_posix() for path in files)
    assert "solo/barlow" in listed
