"""Records of submissions, how runs are named on the command line, and how files and scheduler make one picture."""

import errno
from pathlib import Path

import pytest

from bench.cli import main
from bench.errors import UserError
from bench.slurm import queue, records, watch
from bench.slurm.queue import Job
from bench.slurm.records import Submission
from bench.standing import Standing

RUNS = ["digits/smi/0a/seed0", "digits/smi/0a/seed1", "digits/smi-2/0b/seed0"]


def submitted(name, jobs, report="9"):
    runs = {
        run: {"epochs": 4, "batch_size": 256, "world_size": 1, "accumulate": 1}
        for group in jobs.values()
        for run in group
    }
    return Submission(name, "abc", {}, {}, jobs, report, runs)


FIRST = submitted("20260101T000000-aaaaaa", {"1_0": RUNS[:1], "1_1": RUNS[1:]})
SECOND = submitted("20260102T000000-bbbbbb", {"2": RUNS[:1]})


def test_what_was_written_is_read_oldest_first(tmp_path):
    for submission in (SECOND, FIRST):
        records.write(tmp_path, submission)
    assert records.read(tmp_path) == [FIRST, SECOND]
    assert records.read(tmp_path / "elsewhere") == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "x"}'])
def test_a_damaged_record_is_one_line(tmp_path, text):
    records.write(tmp_path, FIRST)
    path = tmp_path / records.FOLDER / FIRST.name / records.FILE
    path.write_text(text)
    with pytest.raises(UserError, match=r"submission\.json is damaged"):
        records.read(tmp_path)


@pytest.mark.parametrize("name", ["submission.json", "1_0_0_log.out"])
def test_a_file_that_may_not_be_read_is_one_line(tmp_path, monkeypatch, capsys, name):
    records.write(tmp_path, FIRST)
    (tmp_path / records.FOLDER / FIRST.name / "1_0_0_log.out").write_text("a log")
    read = Path.read_text

    def refuse(path, **options):
        if path.name == name:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return read(path, **options)

    monkeypatch.setattr(Path, "read_text", refuse)
    assert main(["logs", RUNS[0], "--output", str(tmp_path)]) == 2
    complaint = capsys.readouterr().err
    assert complaint.endswith(f"{name}: Permission denied.\n")
    assert complaint.count("\n") == 1


def test_the_newest_job_of_a_run_counts():
    newest = records.newest_jobs([FIRST, SECOND])
    assert {run: job for run, (job, _) in newest.items()} == {RUNS[0]: "2", RUNS[1]: "1_1", RUNS[2]: "1_1"}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        (RUNS[1], [1]),
        ("digits/smi", [0, 1]),
        ("digits/smi/", [0, 1]),
        ("digits", [0, 1, 2]),
        ("*/seed0", [0, 2]),
        ("out/digits/smi-2", [2]),
    ],
)
def test_words_name_runs(tmp_path, monkeypatch, word, expected):
    monkeypatch.chdir(tmp_path)
    output = tmp_path / "out"
    assert records.select([word], RUNS, output.relative_to(tmp_path)) == [RUNS[index] for index in expected]


def test_a_word_that_names_none_is_a_mistake(tmp_path):
    with pytest.raises(UserError, match="'digits/sm' names no run"):
        records.select(["digits", "digits/sm"], RUNS, tmp_path)


def states(standings, jobs):
    return {one.run_id: (one.state, one.job or one.outcome) for one in watch.merge(standings, [FIRST], jobs)}


def test_runs_that_have_not_begun_are_queued_with_their_reason():
    jobs = {"1_0": Job("1_0", "PENDING", "", "Priority"), "1_1": Job("1_1", "RUNNING", "node2")}
    assert states([], jobs) == {
        RUNS[0]: ("queued", "job 1_0 (Priority)"),
        RUNS[1]: ("running", "job 1_1 on node2"),
        RUNS[2]: ("running", "job 1_1 on node2"),
    }


def test_what_the_files_call_ended_stays_so():
    ended = Standing(RUNS[0], "completed", 4, 4, outcome="linear 50 %")
    assert states([ended], {})[RUNS[0]] == ("completed", "linear 50 %")


@pytest.mark.parametrize("lock", ["running", "stopped"])
def test_a_run_whose_job_was_killed_is_unfinished_whatever_its_lock_says(lock):
    jobs = {"1_0": Job("1_0", "FAILED", "node3")}
    begun = Standing(RUNS[0], lock, 1, 4)
    assert states([begun], jobs)[RUNS[0]] == ("unfinished", "job 1_0 ended on node3: FAILED")


def test_where_slurm_found_the_memory_exceeded_a_batch_size_is_suggested():
    jobs = {"1_0": Job("1_0", "OUT_OF_MEMORY", "node3")}
    said = "job 1_0 ended on node3: OUT_OF_MEMORY at batch_size=256; try batch_size=128, or more slurm.memory"
    assert states([Standing(RUNS[0], "stopped", 1, 4)], jobs)[RUNS[0]] == ("unfinished", said)


def test_without_an_answer_the_files_alone_count():
    assert states([Standing(RUNS[0], "running", 1, 4)], None)[RUNS[0]] == ("running", "job 1_0")
    assert states([], None)[RUNS[0]] == ("queued", "job 1_0")


@pytest.mark.parametrize("lock", [None, "stopped"])
def test_a_job_that_nobody_remembers(lock):
    begun = [] if lock is None else [Standing(RUNS[0], lock, 1, 4)]
    assert states(begun, {})[RUNS[0]] == ("unfinished", "job 1_0 is gone")


@pytest.mark.parametrize(("age", "expected"), [(0, ("running", "")), (600, ("unfinished", "job 1_0 is gone"))])
def test_the_heartbeat_tells_whether_a_forgotten_jobs_run_lives(tmp_path, left_behind, monkeypatch, age, expected):
    """On another host, by whatever carries it out there; seen by a command that looks once."""
    folder = tmp_path / RUNS[0]
    left_behind(folder / "lock", age)
    (folder / "config.yaml").write_text("epochs: 4\nbatch_size: 8\n")
    monkeypatch.setattr(queue, "_output", lambda command: "" if command[0] == "squeue" else None)
    records.write(tmp_path, FIRST)
    standing = watch.Watcher(tmp_path).look()[1]
    assert (standing.run_id, standing.state, standing.job or standing.outcome) == (RUNS[0], *expected)
