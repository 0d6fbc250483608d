"""What this machine is and how a run uses it: device, precision, threads, peak memory, versions."""

from __future__ import annotations

import ctypes
import gc
import importlib
import importlib.metadata
import os
import platform
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from bench import __version__
from bench.errors import UserError

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Of <malloc.h>."""
WITHOUT_MEMORY = ("can't allocate memory", "std::bad_alloc", "_STATUS_ALLOC_FAILED", "CUDA error: out of memory")
"""Parts of errors that have no class of their own; cuBLAS and its kind ask a GPU for memory without torch."""
CODE = ("bench", "methods", "datasets", "reports", "slurm")
"""Folders of this source tree whose files a result hangs on."""


def resolve_device(name: str) -> torch.device:
    """`auto` takes the GPU where there is one. Raises UserError for a GPU that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise UserError(f"--device {name}: give auto, cpu, cuda or cuda:1.")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"--device {name}: torch sees no CUDA GPU here; leave the option out to run on the CPU.")
    device = torch.device(name)
    if device.index is not None and device.index >= torch.cuda.device_count():
        raise UserError(f"--device {name}: torch sees {torch.cuda.device_count()} GPUs here, numbered from 0.")
    return device


def resolve_precision(wanted: str, device: torch.device) -> str:
    """`auto` becomes bfloat16 where the GPU, or the CPU's AVX512-bf16 or AMX units, compute in it; else float32.

    On a machine without a GPU, which plans for others that have one, the GPU is taken to compute in it.
    """
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        native = not torch.cuda.is_available() or torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = _cpu_has_bfloat16()
    return "bfloat16" if native else "float32"


def _cpu_has_bfloat16() -> bool:
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def prepare_process(device: torch.device, threads: int) -> None:
    """Threads and arithmetic of this process: deterministic kernels on a CPU; on a GPU the fastest convolutions.

    On a CPU the functions that make views are compiled too, or loaded, before any clock or peak of memory starts.
    Never TF32: what is called float32, objectives above all, has float32's mantissa.
    """
    torch.set_num_threads(threads)
    _keep_freed_memory()
    if device.type == "cpu":
        torch.use_deterministic_algorithms(True)
        # Filling every new tensor with NaN is for finding bugs; it took 8 % of a step (paired, slim ResNet, 64 px).
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        importlib.import_module("bench.augment.compiled")
    else:
        if device.index is not None:  # torch refuses plain "cuda", which is the current one anyhow
            torch.cuda.set_device(device)  # what takes the current one, as pinned memory does, means this one
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True


def _keep_freed_memory() -> None:
    """Have glibc keep large tensors in the heap, and what is freed until `reset_peak_memory`.

    By default many are mapped afresh in every step, and the page faults took a seventh of it on a CPU.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc's
    if mallopt is not None:
        mallopt(M_TRIM_THRESHOLD, -1)  # never
        mallopt(M_MMAP_MAX, 0)


def environment(device: torch.device, threads: int) -> dict[str, Any]:
    """Versions, code, hardware and switches, as environment.json keeps them."""
    commit, dirty = _git()
    return {
        "bench": __version__,
        "git_commit": commit,
        "git_dirty": dirty,
        "python": platform.python_version(),
        "torch": str(torch.__version__),  # its own class cannot be in a checkpoint
        "numba": importlib.metadata.version("numba") if device.type == "cpu" else None,  # makes the views there
        "platform": platform.platform(),
        "host": platform.node(),
        "hardware": torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "device": device.type,
        "threads": threads,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


def reset_peak_memory(device: torch.device) -> None:
    """Start counting peak memory afresh; what earlier runs left unused is given back before."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mib(device: torch.device) -> float:
    """Peak since the last reset, MiB: tensors on the GPU, or on a CPU the memory of the whole process.

    That is without the pages of files that are in it now, of pictures above all: the system takes those back when it
    needs memory, and how many there are says which runs came before. Where the system does not tell (no Linux /proc)
    it is all of the peak since the process began.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    status = Path("/proc/self/status")
    told = dict(line.split(":", 1) for line in status.read_text().splitlines()) if status.exists() else {}
    if {"VmHWM", "RssFile"} <= told.keys():
        peak, of_files = (int(told[name].split()[0]) for name in ("VmHWM", "RssFile"))
        return (peak - of_files) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def is_lost(device: torch.device) -> bool:
    """Whether an error left this process without its GPU for good, as an index out of range in a kernel does."""
    if device.type != "cuda":
        return False
    try:
        torch.cuda.synchronize(device)
    except RuntimeError:
        return True
    return False


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that there is no more memory, on a GPU or on this machine."""
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    if known or any(words in str(error) for words in WITHOUT_MEMORY):
        return True
    return isinstance(error.__context__, Exception) and is_out_of_memory(error.__context__)  # that of a capture


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {cores()} cores"


def source_version() -> str:
    """Git commit of this source tree, with `-dirty` where files were changed; `unknown` outside a checkout."""
    commit, dirty = _git()
    return "unknown" if commit is None else f"{commit[:12]}{'-dirty' * dirty}"


def _git() -> tuple[str | None, bool]:
    """Commit of this source tree and whether its code has changes or new files that are not in it; (None, False)
    outside a checkout, in a repository that merely surrounds an installation too."""
    root = Path(__file__).parent.parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", str(Path(__file__).relative_to(root)))
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--untracked-files=normal", "--", *CODE))
    except (OSError, subprocess.SubprocessError):
        return None, False
