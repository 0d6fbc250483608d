"""Profiles: what sbatch takes as a time, which fields there are, and what a mistake says."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UserError
from bench.slurm import profile
from bench.slurm.profile import Profile


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("30:00", 30), ("30:01", 31), ("12:00:00", 720), ("2-12", 3600), ("2-12:30", 3630), ("1-0:0:1", 1441)],
)
def test_times_are_those_of_sbatch(text, expected):
    assert profile.minutes(text) == expected


@given(st.integers(0, 9), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_a_time_is_read_as_it_is_written(days, hours, mins, seconds):
    exact = days * 1440 + hours * 60 + mins + seconds / 60
    text = f"{days}-{hours}:{mins:02d}:{seconds:02d}"
    if exact == 0:
        with pytest.raises(UserError, match="at least a minute"):
            profile.minutes(text)
    else:
        assert exact <= profile.minutes(text) < exact + 1


@given(st.text(max_size=12).filter(lambda text: not any(character.isdigit() for character in text)))
def test_a_text_without_digits_is_no_time(text):
    with pytest.raises(UserError, match=r"slurm\.time"):
        profile.minutes(text)


@pytest.mark.parametrize("name", profile.names())
def test_the_profiles_that_come_with_the_suite_are_valid(name):
    resolved = profile.resolve(profile.read(name), [])
    assert resolved.minutes == 720
    assert resolved.gpus == (name == "gpu")


def test_a_time_with_colons_is_not_a_number_in_base_sixty(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("time: 1:30:00\nmemory: 16\nenvironment: {A: 1, B: text}\nsbatch: {exclusive: null, nice: 100}\n")
    resolved = profile.resolve(profile.read(str(path)), [])
    assert (resolved.minutes, resolved.memory) == (90, 16.0)
    assert resolved.environment == {"A": "1", "B": "text"}
    assert resolved.sbatch == {"exclusive": "", "nice": "100"}


def test_words_win_over_the_file_and_the_last_over_the_first():
    values = profile.read("gpu")
    resolved = profile.resolve(values, ["slurm.time=2-0", "slurm.partition=a", "slurm.partition=b", "slurm.qos=null"])
    assert (resolved.minutes, resolved.partition, resolved.qos) == (2880, "b", None)


@given(
    st.builds(
        Profile,
        partition=st.none() | st.sampled_from(["gpu", "long"]),
        time=st.integers(5, 10_000).map(str),
        memory=st.none() | st.floats(0.5, 1000),
        cpus=st.integers(1, 64),
        gpus=st.integers(0, 8),
        setup=st.lists(st.text()),
        environment=st.dictionaries(st.from_regex(r"[A-Z_]{1,8}", fullmatch=True), st.text()),
        sbatch=st.dictionaries(st.sampled_from(["nice", "exclusive"]), st.text()),
    )
)
def test_a_recorded_profile_is_the_same_profile(given_profile):
    assert profile.resolve(dataclasses.asdict(given_profile), []) == given_profile


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["slurm.partitoin=gpu"], "Unknown setting 'slurm.partitoin'. Did you mean 'partition'?"),
        (["slurm.cpus=0"], "slurm.cpus must be at least 1, not 0."),
        (["slurm.time=soon"], "slurm.time=soon: give minutes"),
        (["slurm.time=1", "slurm.notice=60"], "slurm.notice=60 leaves nothing of slurm.time=1"),
        (["slurm.gpus=3", "slurm.nodes=2"], "slurm.gpus=3 cannot be shared evenly by slurm.nodes=2."),
        (["slurm.sbatch=5"], "slurm.sbatch must be a mapping"),
        (["slurm.environment={a-b: 1}"], "slurm.environment: 'a-b' is no name of an environment variable."),
        (["slurm.setup=[["], "'slurm.setup=[[' cannot be read as a setting."),
    ],
)
def test_a_mistake_is_one_line_that_names_the_field(words, line):
    with pytest.raises(UserError) as caught:
        profile.resolve({}, words)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_profiles_and_files_that_are_none(tmp_path):
    with pytest.raises(UserError, match="Did you mean 'gpu'"):
        profile.read("gpus")
    with pytest.raises(UserError, match="cannot be read"):
        profile.read(str(tmp_path / "absent.yaml"))
    path = tmp_path / "list.yaml"
    path.write_text("- a\n")
    with pytest.raises(UserError, match="is no profile"):
        profile.read(str(path))
