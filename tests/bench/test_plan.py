"""The plan: methods x datasets x seeds, each run once, everything resolved."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UserError
from bench.plan import Request, parse_seeds, plan

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data_root(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


def planned(data_root, *words, methods=("smi", "barlow"), seeds=(0, 1, 2), preset="quick"):
    return plan(Request(methods, ["digits"], seeds, preset, words, data_root), CPU)


def test_every_pair_of_method_and_seed_once_seeds_outermost(data_root):
    specs = planned(data_root)
    assert [(spec.seed, spec.method.name) for spec in specs] == [(k, m) for k in range(3) for m in ("smi", "barlow")]
    assert len({spec.id for spec in specs}) == 6
    assert len({spec.digest for spec in specs}) == 2


def test_the_same_request_gives_the_same_ids(data_root):
    assert [spec.id for spec in planned(data_root)] == [spec.id for spec in planned(data_root)]


def test_what_is_open_is_filled_from_the_dataset_and_the_budget(data_root):
    protocol = planned(data_root)[0].protocol
    assert protocol.image_size == 16
    assert protocol.epochs == round(80000 / 1167)  # 1,297 training digits less the validation tenth
    assert protocol.augment.flip == 0.0
    assert protocol.precision in ("float32", "bfloat16")
    assert planned(data_root, "epochs=7", "image_size=24")[0].protocol.epochs == 7
    assert planned(data_root, preset="standard")[0].protocol.epochs == 200


def test_a_setting_for_one_method_makes_another_run_of_it_alone(data_root):
    before, after = planned(data_root, seeds=(0,)), planned(data_root, "smi.optimizer.lr=0.5", seeds=(0,))
    assert before[0].digest != after[0].digest
    assert before[1].digest == after[1].digest


def test_a_file_from_outside_is_known_by_its_text(data_root, tmp_path):
    path = tmp_path / "my_loss.py"
    path.write_text(OUTSIDE)
    first = planned(data_root, methods=(f"file:{path}",), seeds=(0,))[0]
    assert first.id.startswith("digits/my_loss/")
    assert first.method.title == "My loss"
    path.write_text(OUTSIDE.replace("0.5", "0.25"))
    assert planned(data_root, methods=(f"file:{path}",), seeds=(0,))[0].digest != first.digest


def test_a_file_whose_name_is_taken_is_refused(data_root, tmp_path):
    for name, message in [("smi", "twice"), ("optimizer", "is a setting")]:
        path = tmp_path / f"{name}.py"
        path.write_text(OUTSIDE)
        with pytest.raises(UserError, match=message):
            planned(data_root, methods=("smi", f"file:{path}"))


@given(st.integers(1, 50))
def test_a_number_of_seeds_counts_from_zero(count):
    assert parse_seeds(str(count)) == list(range(count))


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=8, unique=True))
def test_a_list_of_seeds_is_taken_as_it_is(seeds):
    assert parse_seeds(",".join(map(str, seeds))) == seeds


def test_one_seed_can_be_named():
    assert parse_seeds("7,") == [7]


@pytest.mark.parametrize("text", ["0", "-3", "99999999999"])
def test_a_number_of_seeds_out_of_range_is_refused(text):
    with pytest.raises(UserError, match="at least one and at most"):
        parse_seeds(text)


@given(st.text())
def test_anything_else_is_refused_in_words(text):
    try:
        seeds = parse_seeds(text)
    except UserError:
        return
    assert seeds
    assert all(seed >= 0 for seed in seeds)
    assert len(set(seeds)) == len(seeds)


OUTSIDE = '''"""My loss: pulls two views together."""
from dataclasses import dataclass
from bench.api import Method

@dataclass(frozen=True)
class Config:
    weight: float = 0.5

class MyLoss(Method):
    citation = "a test"
    Config = Config

    def loss(self, views, indices, labels):
        za, zb = (self.encoder(view).float() for view in views)
        return self.config.weight * (za - zb).square().mean(), {}
'''
