"""Run ids: every leaf that can change the result changes the id, and what only names things does not."""

import copy
import dataclasses

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UserError
from bench.spec import RunSpec, safe

CANONICAL = {
    "protocol": "1",
    "dataset": {"name": "imagewoof", "key": "imagewoof-160", "fingerprint": "ab" * 32, "classes": 10},
    "method": {
        "name": "smi",
        "short_name": "smi",
        "title": "SMI (reconstructed)",
        "version": "1",
        "config": {"form": "match", "w": 10.0},
    },
    "backbone": {"name": "slim", "width": 32},
    "projector": {"hidden": 256, "output": 256, "layers": 3},
    "image_size": 64,
    "epochs": 10,
    "data": {"fraction": 1.0},
    "batch_size": 256,
    "accumulate": 1,
    "optimizer": {
        "name": "adamw",
        "lr": 1e-3,
        "weight_decay": 1e-4,
        "momentum": 0.9,
        "trust": 0.02,
        "clip": True,
        "warmup_fraction": 0.1,
    },
    "augment": {"flip": 0.5, "blur": [0.0, 0.5]},
    "evaluate": {"neighbours": 20, "temperature": 0.07, "curve_points": 10, "test": True},
    "precision": "float32",
    "seeds": {"init": None, "order": None, "views": None, "probe": None},
    "world_size": 1,
    "recipe": "tuned (16 trials)",
    "seed": 3,
}
NAMES_ONLY = {
    ("dataset", "name"),
    ("dataset", "key"),
    ("dataset", "classes"),
    ("method", "name"),
    ("method", "title"),
    ("evaluate", "curve_points"),
    ("recipe",),
}
CHANGES = {"name": {"slim": "resnet18", "adamw": "sgd"}, "precision": {"float32": "bfloat16"}}


def leaves(node, path=()):
    if isinstance(node, dict):
        return [leaf for key, value in node.items() for leaf in leaves(value, (*path, key))]
    return [path]


def changed(path):
    values = copy.deepcopy(CANONICAL)
    node = values
    for key in path[:-1]:
        node = node[key]
    old = node[path[-1]]
    if isinstance(old, str):
        node[path[-1]] = CHANGES.get(path[-1], {}).get(old, old + "x")
    elif isinstance(old, bool):
        node[path[-1]] = not old
    elif isinstance(old, list):
        node[path[-1]] = [0.25, *old[1:]]
    else:
        node[path[-1]] = 7 if old is None else old / 2 if isinstance(old, float) else old + 1
    return RunSpec.from_canonical(values)


@pytest.mark.parametrize("path", [leaf for leaf in leaves(CANONICAL) if leaf != ("seed",)], ids=".".join)
def test_a_changed_leaf_is_another_run_unless_it_only_names_things(path):
    before, after = RunSpec.from_canonical(CANONICAL), changed(path)
    assert (before.digest == after.digest) is (path in NAMES_ONLY)


def test_seeds_share_the_digest_and_differ_in_the_id():
    first, second = RunSpec.from_canonical(CANONICAL), changed(("seed",))
    assert first.digest == second.digest
    assert first.with_seed(4) == second
    assert first.with_seed(4).id == second.id
    assert first.id == f"imagewoof-160/smi/{first.digest}/seed3"
    assert second.id == f"imagewoof-160/smi/{first.digest}/seed4"


def test_canonical_form_survives_yaml():
    spec = RunSpec.from_canonical(CANONICAL)
    text = yaml.safe_dump(spec.canonical(), sort_keys=False)
    assert RunSpec.from_canonical(yaml.safe_load(text)) == spec


def test_runs_from_before_the_pretraining_fraction_keep_their_ids():
    older = {key: value for key, value in CANONICAL.items() if key != "data"}
    assert RunSpec.from_canonical(older).id == RunSpec.from_canonical(CANONICAL).id


def test_an_unknown_field_is_refused():
    with pytest.raises(UserError, match="Unknown setting 'epoch'"):
        RunSpec.from_canonical({**CANONICAL, "epoch": 3})


@pytest.mark.parametrize("lacks", ["protocol", "method", "seed"])
def test_a_missing_field_is_refused(lacks):
    with pytest.raises(UserError, match="not the configuration of a run of this version"):
        RunSpec.from_canonical({key: value for key, value in CANONICAL.items() if key != lacks})


def test_one_axis_can_be_fixed_while_the_others_follow_the_seed():
    spec = RunSpec.from_canonical({**CANONICAL, "seeds": {"init": 0, "order": None, "views": None, "probe": None}})
    other = dataclasses.replace(spec, seed=4)
    assert spec.axis_seed("init") == other.axis_seed("init")
    assert all(spec.axis_seed(axis) != other.axis_seed(axis) for axis in ("order", "views", "probe"))
    assert len({spec.axis_seed(axis) for axis in ("init", "order", "views", "probe")}) == 4


@given(st.text())
def test_safe_names_are_single_path_components(name):
    assert safe(name) not in ("", ".", "..")
    assert "/" not in safe(name)
    assert "\0" not in safe(name)
