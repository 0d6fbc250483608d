"""Rows are on the disk as they come, and stay where the machine is the same."""

import json

import pytest

from bench.cost.record import Record
from bench.errors import UserError

HERE = {
    "hardware": "a processor",
    "torch": "2.15",
    "device": "cpu",
    "threads": 1,
    "git_commit": "a1",
    "git_dirty": False,
}


def test_every_row_is_on_the_disk_at_once(tmp_path):
    record = Record(tmp_path, {**HERE, "host": "mine"}, ["step"])
    record.add({"what": "step", "cpu_ms": 1.0})
    written = json.loads((tmp_path / "cost.json").read_text())
    assert written == {"environment": HERE, "rows": [{"what": "step", "cpu_ms": 1.0, "commit": "a1"}]}


def test_what_is_measured_anew_is_replaced_and_the_rest_kept(tmp_path):
    first = Record(tmp_path, HERE, ["step", "views"])
    first.add({"what": "step", "cpu_ms": 1.0})
    first.add({"what": "views", "cpu_ms": 2.0})
    again = Record(tmp_path, {**HERE, "git_commit": "b2", "git_dirty": True}, ["step"])
    assert again.rows == [{"what": "views", "cpu_ms": 2.0, "commit": "a1"}]
    assert again.of("step") == []
    again.add({"what": "step", "cpu_ms": 3.0})
    assert [row["commit"] for row in Record.read(tmp_path).rows] == ["a1", "b2 with changes"]


def test_rows_of_an_earlier_version_are_of_the_commit_of_their_file(tmp_path):
    old = {"environment": HERE, "rows": [{"what": "views", "cpu_ms": 2.0}]}
    (tmp_path / "cost.json").write_text(json.dumps(old))
    assert Record(tmp_path, {**HERE, "git_commit": "b2"}, ["step"]).rows[0]["commit"] == "a1"


def test_rows_of_another_machine_are_neither_mixed_in_nor_lost(tmp_path):
    Record(tmp_path, HERE, ["step"]).add({"what": "step", "cpu_ms": 1.0})
    with pytest.raises(UserError, match=r"times of another machine, .*another, .*: give another --output"):
        Record(tmp_path, {**HERE, "hardware": "another"}, ["views"])
    assert Record(tmp_path, {**HERE, "hardware": "another"}, ["step"]).rows == []  # measured anew, all of them
