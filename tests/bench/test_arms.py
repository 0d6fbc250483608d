"""Arms of a comparison: a method and settings of its own, in one spelling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.arms import Arm, parse
from bench.errors import UserError

words = st.text("abcxyz019._-[],", min_size=1)
settings = st.dictionaries(st.text("abcxyz._", min_size=1), words, max_size=3).map(
    lambda chosen: [f"{key}={value}" for key, value in chosen.items()]
)


@given(st.sampled_from(["smi", "solo/barlow", "file:dir/my_loss.py"]), settings)
def test_a_name_is_read_back_as_the_same_arm(method, chosen):
    arm = parse(":".join([method, *chosen]))
    assert arm == Arm(method, tuple(sorted(chosen)))
    assert parse(arm.name) == arm
    assert parse(":".join([method, *reversed(chosen)])) == arm


def test_settings_belong_to_the_arms_method():
    assert parse("smi:w=3:transform=identity").words() == ["smi.transform=identity", "smi.w=3"]
    assert parse("file:dir/my_loss.py:w=3").words() == ["my_loss.w=3"]


@pytest.mark.parametrize("text", ["smi:", "smi:w", "smi:w=", "smi:=3", "smi:w=3:", "file:a.py:w"])
def test_what_is_no_key_and_value_is_refused(text):
    with pytest.raises(UserError, match="key=value"):
        parse(text)


def test_a_setting_given_twice_is_refused():
    with pytest.raises(UserError, match="sets w twice"):
        parse("smi:w=3:w=20")
