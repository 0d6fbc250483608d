"""The plan: methods x datasets x seeds, each run once, everything resolved."""

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.arms import parse
from bench.errors import UserError
from bench.plan import Request, parse_seeds, plan

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data_root(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


def planned(data_root, *words, methods=("smi", "barlow"), seeds=(0, 1, 2), preset="quick"):
    arms = [parse(name) for name in methods]
    return plan(Request(arms, ["digits"], seeds, preset, words, data_root, recipe="none"), CPU)


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
    assert planned(data_root, "budget.length=0.5", preset="standard")[0].protocol.epochs == 100
    assert planned(data_root, "budget.length=2")[0].protocol.epochs == 2 * protocol.epochs
    assert planned(data_root, "epochs=200", "budget.length=0.001")[0].protocol.epochs == 1


def test_a_part_of_the_pictures_is_seen_as_often_in_all_as_the_whole(data_root):
    words = ("data.fraction=0.1", "batch_size=64")
    part = planned(data_root, *words, seeds=(0,))[0].protocol
    assert part.epochs == round(80000 / 119)  # a tenth of each of ten classes with 111 to 119 pictures
    with pytest.raises(UserError, match="images to pretrain on, fewer than batch_size=256: set batch_size=64"):
        planned(data_root, "data.fraction=0.1", seeds=(0,))


def test_a_setting_for_one_method_makes_another_run_of_it_alone(data_root):
    before, after = planned(data_root, seeds=(0,)), planned(data_root, "smi.optimizer.lr=0.5", seeds=(0,))
    assert before[0].digest != after[0].digest
    assert before[1].digest == after[1].digest


def test_local_views_are_refused_for_a_method_without_multi_crop(data_root):
    with pytest.raises(
        UserError, match=r"^barlow takes the two large views alone[^\n]*swav\.augment\.local_views=4\.$"
    ):
        planned(data_root, "barlow.augment.local_views=4")


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


@given(st.lists(st.integers(0, 9999), min_size=2, max_size=8, unique=True))
def test_a_list_of_seeds_is_taken_as_it_is(seeds):
    assert parse_seeds(",".join(map(str, seeds))) == seeds


def test_one_seed_can_be_named():
    assert parse_seeds("7,") == [7]


def test_the_tuners_seeds_are_refused():
    with pytest.raises(UserError, match="kept for `bench tune`"):
        parse_seeds("0,10000")


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


def test_an_arm_is_a_method_with_settings_of_its_own(data_root):
    specs = planned(data_root, "smi.w=7", methods=("smi", "smi:transform=identity", "barlow"), seeds=(0,))
    assert [spec.method.config.get("transform") for spec in specs] == ["gaussian", "identity", None]
    assert [spec.method.config.get("w") for spec in specs] == [7, 7, None]
    assert len({spec.id for spec in specs}) == 3


def test_two_arms_that_are_one_run_are_refused(data_root):
    with pytest.raises(UserError, match="'smi:form=match' is the same run as 'smi'"):
        planned(data_root, methods=("smi", "smi:form=match"))


def test_a_recipe_gives_each_arm_its_settings_and_the_user_has_the_last_word(data_root, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "label: tuned (2 trials)\ndatasets: []\npresets: []\n"
        "methods:\n  smi: {w: 5.0, optimizer.lr: 0.5}\n  smi:transform=identity: {w: 3.0}\n"
    )
    arms = [parse(name) for name in ("smi", "smi:transform=identity", "barlow")]
    request = Request(arms, ["digits"], [0], "quick", ["optimizer.lr=0.25"], data_root, recipe=str(path))
    smi, linear, barlow = plan(request, CPU)
    assert (smi.method.config["w"], smi.protocol.optimizer.lr, smi.recipe) == (5, 0.25, "tuned (2 trials), changed")
    assert (linear.method.config["w"], linear.recipe) == (3, "tuned (2 trials), changed")
    assert (barlow.protocol.optimizer.lr, barlow.recipe) == (0.25, "default")
    plain = plan(dataclasses.replace(request, recipe="none"), CPU)
    assert {spec.recipe for spec in plain} == {"default"}
    assert barlow.id == plain[2].id


def test_the_recipe_for_dataset_and_preset_is_the_default(data_root):
    request = Request([parse("barlow"), parse("random")], ["digits"], [0], "quick", [], data_root)
    barlow, random = plan(request, CPU)
    assert barlow.recipe == "tuned (16 trials)"
    assert barlow.method.config["lambda_"] != 0.0051
    assert random.recipe == "default"
    assert {spec.recipe for spec in plan(dataclasses.replace(request, preset="standard"), CPU)} == {"default"}
