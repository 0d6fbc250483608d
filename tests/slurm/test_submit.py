"""What is handed to sbatch, and what travels in a job: submitit for real, with a stand-in for sbatch."""

import dataclasses
import json
import os
import pickle
import signal
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.commands._submitting import announce
from bench.config.check import build
from bench.config.compose import compose_protocol
from bench.config.schema import Protocol
from bench.errors import UserError
from bench.lock import STALE_SECONDS
from bench.slurm import job, records, sbatch, submit
from bench.slurm.profile import Profile
from bench.slurm.submit import Manner
from bench.spec import DatasetEntry, MethodEntry, RunSpec
from bench.store import RunFolder

SBATCH = """echo sbatch >>{calls}
echo "Submitted batch job $(($(/usr/bin/wc -l <{calls}) + 100))"
"""


@pytest.fixture(scope="module")
def spec():
    values = compose_protocol(
        "quick", {}, "smi", dataclasses.make_dataclass("Config", []), ["image_size=16", "epochs=4"]
    )
    for name in ("method", "budget"):
        values.pop(name, None)
    values["precision"] = "float32"
    dataset = DatasetEntry("digits", "digits", "f" * 64, 10)
    return RunSpec(dataset, MethodEntry("smi", "smi", "SMI", "1", {"w": 1.0}), build(Protocol, values), seed=0)


@pytest.fixture
def programs(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    texts = {"sbatch": SBATCH.format(calls=tmp_path / "calls"), "srun": "exit 1", "squeue": "exit 1"}
    texts["scontrol"] = "echo 'MaxArraySize            = 3'"

    def write(**changed):
        for name, text in {**texts, **changed}.items():
            path = folder / name
            path.write_text(f"#!/bin/sh\n{text}\n")
            path.chmod(path.stat().st_mode | stat.S_IXUSR)

    write()
    return write


@pytest.fixture
def manner(tmp_path):
    root = str(tmp_path)
    return Manner(f"{root}/runs", f"{root}/data", None, "cpu", 120.0, pack=1, processes=1, reference=None)


def scripts(manner, submission):
    folder = records.folder(Path(manner.output), submission.name)
    return {path.name.partition("_")[0]: path.read_text() for path in sorted(folder.glob("*_submission.sh"))}


def test_a_plan_larger_than_the_cluster_allows_becomes_several_arrays(spec, manner, programs):
    profile = Profile(partition="long", memory=4, cpus=2, gpus=0, concurrency=9, setup=["module load x"])
    specs = [spec.with_seed(seed) for seed in range(5)]
    submission = submit.submit(specs, manner, profile).submission
    assert list(submission.jobs) == ["101_0", "101_1", "102_0", "102_1", "103"]
    assert [run for group in submission.jobs.values() for run in group] == [one.id for one in specs]
    assert records.read(Path(manner.output)) == [json_like(submission)]
    text = scripts(manner, submission)
    assert "--array=0-1%2" in text["101"]  # submitit takes the smaller of 2 tasks and 9 // 3 at a time
    for line in ("--partition=long", "--mem=4GB", "--cpus-per-task=2", "--signal=USR2@120", "--requeue", "--time=720"):
        assert f"#SBATCH {line}\n" in text["101"]
    assert "module load x\n" in text["101"]
    assert "srun --unbuffered" in text["101"]
    assert "gpus" not in text["101"]
    assert "--dependency=afterany:101:102:103\n" in text[submission.report_job]


def json_like(submission):
    return dataclasses.replace(submission, **json.loads(json.dumps(dataclasses.asdict(submission))))


def test_packed_runs_are_tasks_of_one_job_with_one_gpu(spec, manner, programs):
    profile = Profile(memory=4, gpus=1, requeue=0, sbatch={"exclusive": "", "nice": "5"})
    specs = [spec.with_seed(seed) for seed in range(3)]
    submission = submit.submit(specs, dataclasses.replace(manner, pack=2), profile).submission
    assert {name: len(group) for name, group in submission.jobs.items()} == {"101_0": 2, "101_1": 1}
    text = scripts(manner, submission)["101"]
    for line in ("--ntasks-per-node=2", "--gpus-per-node=1", "--mem=8GB", "--exclusive", "--nice=5", "--no-requeue"):
        assert f"#SBATCH {line}\n" in text


@pytest.mark.parametrize("processes", [1, 2])
def test_processes_of_one_run_end_together_and_packed_runs_do_not(spec, manner, programs, processes):
    packed = dataclasses.replace(manner, processes=processes, pack=3 - processes)
    submission = submit.submit([spec, spec.with_seed(1)], packed, Profile(gpus=0)).submission
    text = scripts(manner, submission)["101"]
    assert "--ntasks-per-node=2\n" in text
    assert f" --kill-on-bad-exit={processes - 1} " in text


def test_no_limit_of_the_sites_ends_process_0_while_it_evaluates_alone(spec, manner, programs):
    """SLURM's WaitTime would, once other processes have ended."""
    submission = submit.submit([spec], dataclasses.replace(manner, processes=2), Profile(gpus=0)).submission
    assert " --wait=0 " in scripts(manner, submission)["101"]


def test_submissions_of_one_second_sort_as_they_were_made(spec, manner, programs, monkeypatch):
    later_first = iter("fedcba")
    monkeypatch.setattr(submit, "uuid", SimpleNamespace(uuid4=lambda: SimpleNamespace(hex=next(later_first))))
    names = [submit.submit([spec.with_seed(seed)], manner, Profile()).submission.name for seed in range(6)]
    assert [one.name for one in records.read(Path(manner.output))] == names


def test_plain_text_of_canonical_runs_is_all_that_travels(spec, manner, programs):
    submission = submit.submit([spec], manner, Profile()).submission
    folder = records.folder(Path(manner.output), submission.name)
    (name,) = submission.jobs
    delayed = pickle.loads((folder / f"{name}_submitted.pkl").read_bytes())
    assert delayed.function is job.carry_out
    ((text,), keywords) = delayed.args, delayed.kwargs
    assert not keywords
    assert json.loads(text)["runs"] == {spec.id: json.loads(json.dumps(spec.canonical()))}


@pytest.mark.parametrize("wanted", [False, True])
def test_whether_events_are_wanted_travels_and_older_records_do_not_say(spec, manner, programs, wanted):
    submission = submit.submit([spec], dataclasses.replace(manner, tensorboard=wanted), Profile()).submission
    assert json.loads(submit._text([spec.id], submission))["request"]["tensorboard"] is wanted
    older = {name: value for name, value in submission.manner.items() if name != "tensorboard"}
    assert Manner(**older) == manner


def test_what_is_done_is_not_submitted(spec, manner, programs):
    folder = RunFolder(Path(manner.output), spec.id)
    folder.path.mkdir(parents=True)
    (folder.path / "result.json").write_text('{"status": "completed"}')
    outcome = submit.submit([spec, spec.with_seed(1)], manner, Profile())
    assert outcome.done == 1
    assert list(outcome.submission.runs) == [spec.with_seed(1).id]


def test_what_a_living_job_carries_out_is_not_submitted_again(spec, manner, programs):
    first = submit.submit([spec], manner, Profile()).submission
    (name,) = first.jobs
    with pytest.raises(UserError, match="does not answer"):
        submit.submit([spec], manner, Profile())
    programs(squeue=f"echo '{name}|PENDING||Priority'")
    outcome = submit.submit([spec], manner, Profile())
    assert outcome.submission is None
    assert [one.id for one in outcome.live] == [name]
    with pytest.raises(UserError, match="cancel"):
        submit.submit([spec], manner, Profile(), fresh=True)
    programs(squeue=f"echo '{name}|TIMEOUT|node1|'")
    assert submit.submit([spec], manner, Profile()).submission is not None


def test_a_shell_that_died_submitting_on_another_host_is_in_nobodys_way(spec, manner, programs, left_behind):
    lock = Path(manner.output) / records.FOLDER / "lock"
    left_behind(lock, 5)
    with pytest.raises(UserError, match="Another command is submitting"):
        submit.submit([spec], manner, Profile())
    lock.unlink()
    left_behind(lock, STALE_SECONDS + 5)
    assert submit.submit([spec], manner, Profile()).submission is not None


@pytest.mark.parametrize(
    ("changes", "profile", "line"),
    [
        ({"pack": 0}, Profile(), "--pack 0"),
        ({"pack": 2, "processes": 2}, Profile(gpus=2), "--pack 2 is for runs of one process"),
        ({"processes": 3}, Profile(gpus=2, nodes=2), "cannot be shared evenly by slurm.nodes=2"),
        ({"processes": 4}, Profile(gpus=2), "one process per GPU"),
    ],
)
def test_what_cannot_be_shared_is_one_line(spec, manner, programs, changes, profile, line):
    with pytest.raises(UserError, match=line):
        submit.submit([spec], dataclasses.replace(manner, **changes), profile)


def test_without_slurm_there_is_one_clear_line(spec, manner, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="no sbatch on this machine"):
        submit.submit([spec], manner, Profile())


def test_a_refusal_is_its_last_line(spec, manner, programs, capfd):
    programs(sbatch="echo 'sbatch: error: first' >&2; echo 'sbatch: error: No such account' >&2; exit 1")
    with pytest.raises(UserError, match=r"^sbatch refused the job: No such account$"):
        submit.submit([spec], manner, Profile())
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("words", ["", "Submitted to the other cluster", "job"])
def test_an_answer_of_sbatch_that_nobody_understands_is_one_line(spec, manner, programs, words):
    programs(sbatch=f"echo '{words}'")
    with pytest.raises(UserError, match=f'sbatch output "{words}"') as caught:
        submit.submit([spec], manner, Profile())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("runs", [1, 2])
def test_an_sbatch_that_does_not_answer_is_killed_and_one_line(spec, manner, programs, monkeypatch, tmp_path, runs):
    monkeypatch.setattr(sbatch, "ANSWER_SECONDS", 0.5)
    programs(sbatch=f"echo $$ >{tmp_path}/pid; exec /bin/sleep 600")
    with pytest.raises(UserError, match=r"^sbatch did not answer within 0\.5 seconds\. A job that it queued"):
        submit.submit([spec.with_seed(seed) for seed in range(runs)], manner, Profile())
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("runs", "pack", "expected"),
    [(1, 1, {"101": 1}), (5, 1, {"101_0": 1, "101_1": 1}), (4, 3, {"101_0": 3, "101_1": 1})],
)
def test_jobs_that_a_killed_shell_did_not_record_are_known(spec, manner, programs, monkeypatch, runs, pack, expected):
    """It is killed between the answer of sbatch and the record of it."""
    write, written = records.write, []

    def killed(*words):
        if written:
            raise KeyboardInterrupt
        written.append(write(*words))

    monkeypatch.setattr(records, "write", killed)
    specs = [spec.with_seed(seed) for seed in range(runs)]
    with pytest.raises(KeyboardInterrupt):
        submit.submit(specs, dataclasses.replace(manner, pack=pack), Profile())
    (recorded,) = records.read(Path(manner.output))
    assert {name: len(group) for name, group in recorded.jobs.items()} == expected
    found = [run for group in recorded.jobs.values() for run in group]
    assert found == [one.id for one in specs][: len(found)]
    programs(squeue="".join(f"echo '{name}|PENDING||Priority'\n" for name in expected))
    assert {job.id for job in submit.submit(specs[: len(found)], manner, Profile()).live} == set(expected)


def refuse_from(number, tmp_path):
    """An sbatch that refuses its `number`-th call and all after it."""
    calls = tmp_path / "calls"
    refuse = "{ echo 'sbatch: error: too many' >&2; exit 1; }"
    return f"{SBATCH.format(calls=calls)}[ $(/usr/bin/wc -l <{calls}) -lt {number} ] || {refuse}"


def test_jobs_that_are_queued_are_announced_where_the_reports_is_refused(spec, manner, programs, tmp_path, capsys):
    programs(sbatch=refuse_from(2, tmp_path))
    outcome = submit.submit([spec], dataclasses.replace(manner, reference="smi"), Profile())
    assert list(outcome.submission.jobs) == ["101"]
    assert records.read(Path(manner.output)) == [json_like(outcome.submission)]
    announce(outcome, Path("runs"))
    printed = capsys.readouterr().out
    assert "Submitted 1 run as 1 job: 101." in printed
    assert "sbatch refused the job: too many" in printed
    assert "`python -m bench report runs --reference smi`" in printed
    assert "job None" not in printed


def test_an_array_that_is_refused_after_others_names_those(spec, manner, programs, tmp_path):
    programs(sbatch=refuse_from(2, tmp_path))
    with pytest.raises(UserError, match=r"too many.* Queued before that: 101; the same command submits the rest"):
        submit.submit([spec.with_seed(seed) for seed in range(5)], manner, Profile())
    (recorded,) = records.read(Path(manner.output))
    assert list(recorded.jobs) == ["101_0", "101_1"]


def test_the_reports_job_asks_for_its_own_memory(spec, manner, programs):
    submission = submit.submit([spec], manner, Profile(memory=4, report_memory=20)).submission
    assert "#SBATCH --mem=20GB\n" in scripts(manner, submission)[submission.report_job]


@pytest.mark.parametrize(("notice", "expected"), [(30, 30), (7200, 60)])
def test_a_long_notice_of_the_runs_is_not_the_reports(spec, manner, programs, notice, expected):
    """Whose time is shorter than that: it would be told to end as it begins."""
    submission = submit.submit([spec], manner, Profile(notice=notice)).submission
    assert f"#SBATCH --signal=USR2@{notice}\n" in scripts(manner, submission)["101"]
    assert f"#SBATCH --signal=USR2@{expected}\n" in scripts(manner, submission)[submission.report_job]


def test_a_job_does_not_hand_its_own_slurm_on(spec, manner, programs, monkeypatch, tmp_path):
    for name in ("SLURM_JOB_ID", "SLURM_CPUS_PER_TASK", "SLURM_CONF", "SBATCH_ACCOUNT"):
        monkeypatch.setenv(name, "7")
    programs(sbatch=f"/usr/bin/env >{tmp_path}/env; {SBATCH.format(calls=tmp_path / 'calls')}")
    submit.submit([spec], manner, Profile())
    seen = (tmp_path / "env").read_text()
    assert "SLURM_CONF=7" in seen
    assert "SBATCH_ACCOUNT=7" in seen
    assert "SLURM_JOB_ID" not in seen
    assert "SLURM_CPUS_PER_TASK" not in seen
    assert os.environ["SLURM_JOB_ID"] == "7"


def test_a_job_refuses_a_run_that_this_code_reads_as_another(spec):
    assert job.spec_of(spec.id, spec.canonical()).id == spec.id
    other = {**spec.canonical(), "epochs": 5}
    with pytest.raises(UserError, match="was submitted by other code"):
        job.spec_of(spec.id, other)
