"""A real SLURM on this machine: controller, two nodes with two make-believe GPUs each, optionally its accounting.

Everything is under a temporary folder: own configuration, own munge key and socket, own ports, own database. Nodes
share this machine's name; SLURMD_NODENAME tells them apart.
"""

import getpass
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NODES = ("node1", "node2")
PACKAGES = {
    "slurm-wlm munge": ("munged", "slurmctld", "slurmd", "sbatch", "srun"),
    "slurmdbd slurm-wlm-mysql-plugin mariadb-server": ("slurmdbd", "mariadbd", "mariadb-install-db"),
}
CONFIGURATION = """
ClusterName=bench
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
# cred_expire is also how long a requeued job waits before it may start again (SLURM's default: 120 s)
AuthInfo=socket={state}/munge.sock,cred_expire=5
StateSaveLocation={state}/saved
SlurmdSpoolDir={state}/%n
SlurmctldPidFile={state}/slurmctld.pid
SlurmdPidFile={state}/%n.pid
SlurmctldLogFile={state}/slurmctld.log
SlurmdLogFile={state}/%n.log
MpiDefault=none
# not linuxproc, which loses a process whose parent died and leaves it running
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
# believe what is said of the nodes below, whatever this machine has
SlurmdParameters=config_overrides
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
# a preempted job gets the signal that it asked for, as at its time limit
SlurmctldParameters=preempt_send_user_signal
SlurmdTimeout=10
KillWait=3
CompleteWait=0
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1,sched_min_interval=0
MaxArraySize={largest_array}
{accounting}
NodeName=DEFAULT CPUs=4 Boards=1 SocketsPerBoard=1 CoresPerSocket=4 ThreadsPerCore=1 RealMemory=64000 Gres=gpu:fake:2
NodeName=node1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={port1}
NodeName=node2 NodeHostname=localhost NodeAddr=127.0.0.1 Port={port2}
PartitionName=DEFAULT Nodes=node[1-2] State=UP MaxTime=INFINITE DefaultTime=10
PartitionName=main Default=YES PriorityTier=10 PreemptMode=OFF
PartitionName=low PriorityTier=1 PreemptMode=REQUEUE GraceTime=20
PartitionName=high PriorityTier=100 PreemptMode=OFF
"""
ACCOUNTING = """AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort={port}
# with munge this is the socket: AuthInfo is not used for slurmdbd
AccountingStoragePass={state}/munge.sock"""
DATABASE_DAEMON = """AuthType=auth/munge
AuthInfo=socket={state}/munge.sock
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser={user}
LogFile={state}/slurmdbd.log
PidFile={state}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database_port}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
"""


class Cluster:
    """A running cluster; `environment` is what its clients need."""

    def __init__(self, accounting: bool, largest_array: int = 1001) -> None:
        self.state = Path(tempfile.mkdtemp(prefix="bench-slurm-"))  # short: a socket's path holds 107 bytes
        self.accounting = accounting
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {**os.environ, "SLURM_CONF": f"{self.state}/slurm.conf", "OMP_NUM_THREADS": "1"}
        self.ports = _free_ports(5)
        self._configure(largest_array)

    def start(self) -> None:
        key = self.state / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        files = {"socket": "munge.sock", "key-file": "munge.key", "pid-file": "munged.pid"}
        files |= {"log-file": "munged.log", "seed-file": "munge.seed"}
        options = [f"--{name}={self.state / file}" for name, file in files.items()]
        self._launch("munged", "munged", "--foreground", "--force", *options)
        self._wait("munged", ["munge", "-S", f"{self.state}/munge.sock", "-n"])
        if self.accounting:
            self._start_accounting()
        self._launch("slurmctld", "slurmctld", "-D", "-i")
        self._wait("slurmctld", ["scontrol", "ping"], "UP")
        for node in NODES:
            self.start_node(node)

    def start_node(self, node: str) -> None:
        """Start a node's daemon, again perhaps, and wait until the node can take jobs."""
        (self.state / node).mkdir(exist_ok=True)
        self._launch(node, "slurmd", "-D", "-N", node, SLURMD_NODENAME=node)
        self._wait(node, ["sinfo", "-h", "-p", "main", "-n", node, "-o", "%T"], "idle", "mixed", "allocated")

    def kill_node(self, node: str) -> None:
        """A node that is gone from one moment to the next: its daemon and every process of its jobs."""
        self.kill_processes(SLURMD_NODENAME=node)
        self.daemons.pop(node).wait()

    def kill_processes(self, **variables: str) -> None:
        """Those of this cluster's daemons and jobs, told by these variables of their environment."""
        variables["SLURM_CONF"] = self.environment["SLURM_CONF"]
        wanted = {f"{name}={value}" for name, value in variables.items()}
        for path in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):  # it has ended, or belongs to somebody else
                if wanted <= set(path.read_text(errors="replace").split("\0")):
                    os.kill(int(path.parent.name), signal.SIGKILL)

    def stop(self) -> None:
        self.try_command("scancel", "--me")
        for daemon in reversed(self.daemons.values()):
            daemon.kill()
            daemon.wait()
        self.kill_processes()
        shutil.rmtree(self.state, ignore_errors=True)

    def command(self, *words: str) -> str:
        return subprocess.run(
            words, env=self.environment, capture_output=True, text=True, check=True, timeout=60
        ).stdout

    def try_command(self, *words: str) -> str:
        try:
            return self.command(*words)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return ""

    def bench(self, *words: str, code: int = 0, **environment: str) -> str:
        """Standard output of `python -m bench WORDS`; fails unless it exits with `code`."""
        done = subprocess.run(
            [sys.executable, "-m", "bench", *words],
            cwd=ROOT,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=600,
            start_new_session=True,
        )
        assert done.returncode == code, f"exit code {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout if code == 0 else done.stderr

    def states(self) -> dict[str, str]:
        """Job -> state, of everything the controller remembers."""
        text = self.command("squeue", "-h", "-r", "-t", "all", "-o", "%i %T")
        return dict(line.split() for line in text.splitlines())

    def _configure(self, largest_array: int) -> None:
        values = {"state": self.state, "user": getpass.getuser(), "largest_array": largest_array}
        port, port1, port2, database_daemon, database = self.ports
        accounting = ACCOUNTING.format(state=self.state, port=database_daemon) if self.accounting else ""
        text = CONFIGURATION.format(**values, port=port, port1=port1, port2=port2, accounting=accounting)
        (self.state / "slurm.conf").write_text(text)
        devices = [self.state / f"gpu{number}" for number in range(2)]
        for device in devices:
            device.touch()  # slurmd counts them, and nothing else
        lines = [f"NodeName=node[1-2] Name=gpu Type=fake File={device}" for device in devices]
        (self.state / "gres.conf").write_text("\n".join(["AutoDetect=off", *lines]) + "\n")
        daemon = self.state / "slurmdbd.conf"
        daemon.write_text(DATABASE_DAEMON.format(**values, port=database_daemon, database_port=database))
        daemon.chmod(0o600)
        (self.state / "saved").mkdir()

    def _start_accounting(self) -> None:
        data, daemon_socket = self.state / "mysql", self.state / "my.sock"
        user = getpass.getuser()
        common = ["--no-defaults", f"--user={user}", f"--datadir={data}", "--skip-name-resolve"]
        self.command("mariadb-install-db", *common, "--skip-test-db", "--auth-root-authentication-method=normal")
        options = [f"--socket={daemon_socket}", f"--pid-file={self.state}/mariadbd.pid", "--bind-address=127.0.0.1"]
        options += [f"--port={self.ports[4]}", f"--log-error={self.state}/mariadbd.log", "--performance-schema=OFF"]
        options += ["--innodb-lock-wait-timeout=900", "--innodb-flush-log-at-trx-commit=0"]
        self._launch("mariadbd", "mariadbd", *common, *options)
        client = ["mariadb", "--no-defaults", f"--socket={daemon_socket}", "-u", "root", "-e"]
        self._wait("mariadbd", [*client, "select 1"])
        self.command(
            *client, "create user 'slurm'@'127.0.0.1' identified by 'slurm'; grant all on *.* to 'slurm'@'127.0.0.1'"
        )
        self._launch("slurmdbd", "slurmdbd", "-D")
        self._wait("slurmdbd", ["timeout", "5", "sacctmgr", "-n", "-i", "list", "cluster"])
        self.command("sacctmgr", "-i", "add", "cluster", "bench")

    def _launch(self, name: str, *words: str, **environment: str) -> None:
        with open(self.state / f"{name}.out", "ab") as log:
            self.daemons[name] = subprocess.Popen(
                words,
                env={**self.environment, **environment},
                cwd=self.state,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _wait(self, name: str, words: list[str], *answers: str, seconds: float = 120) -> None:
        """Until a command succeeds, and says one of `answers` if any are given, while the daemon lives."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.daemons[name].poll() is None:
            done = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=60)
            if done.returncode == 0 and (not answers or any(answer in done.stdout for answer in answers)):
                return
            time.sleep(0.1)
        logs = "".join(path.read_text(errors="replace")[-2000:] for path in sorted(self.state.glob(f"{name}.*o*")))
        pytest.fail(f"{name} did not start: {logs}")


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, below those that the system gives out by itself."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(10_000, 30_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) and port not in found:
                found.append(port)
    return found


def _running(accounting: bool):
    missing = [package for package, tools in PACKAGES.items() if any(shutil.which(tool) is None for tool in tools)]
    needed = list(PACKAGES) if accounting else list(PACKAGES)[:1]
    absent = [package for package in needed if package in missing]
    if absent:
        # Where this variable is set nobody would notice that they are always skipped.
        give_up = pytest.fail if os.environ.get("BENCH_SLURM_REQUIRED") else pytest.skip
        give_up(f"no SLURM here: apt-get install -y --no-install-recommends {' '.join(absent)}")
    cluster = Cluster(accounting)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def cluster(every_core):
    """Without accounting, as SLURM is by default."""
    yield from _running(accounting=False)


@pytest.fixture(scope="session")
def accounted_cluster(every_core):
    yield from _running(accounting=True)


@pytest.fixture(scope="session")
def wait_until():
    """`wait_until(condition)` polls until the condition is true and returns it."""

    def wait(condition, seconds=300.0):
        deadline = time.monotonic() + seconds  # generous: the machine may be busy
        while not (value := condition()):
            assert time.monotonic() < deadline, f"not within {seconds} s"
            time.sleep(0.3)
        return value

    return wait
