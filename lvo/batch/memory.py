"""How much memory there is and who uses it, as far as the system tells."""

import os
from pathlib import Path

__all__ = ["available_mb", "fits", "resident_mb", "slots"]

_RESERVE_MB = 1024
"""Left for the system and the runner."""


def available_mb() -> float | None:
    """Memory that can be taken without swapping, by machine and control group. None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    free = next((int(line.split()[1]) / 1024.0 for line in lines if line.startswith("MemAvailable:")), None)
    allowed = _group_mb()
    return min(free, allowed) if free is not None and allowed is not None else free


def _group_mb() -> float | None:
    """What the control group (version 2) of a container still allows."""
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        used = int((group / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return None if limit == "max" else max(0.0, (int(limit) - used) / 2**20)


def resident_mb(pid: int) -> float | None:
    """Resident memory of a process; None where the system does not say or there is none."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def slots(*, threads: int, memory_mb: int, cores: int | None = None, free_mb: float | None = None) -> int:
    """How many workers fit a machine: by cores, and by what each may take of the memory that is free; at least one.

    Args:
        threads: processor threads of one worker.
        memory_mb: what one worker may take.
        cores: that may be used; asked from the system if omitted.
        free_mb: memory that is free; asked if omitted.
    """
    cores = cores or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores or os.cpu_count() or 1
    free_mb = available_mb() if free_mb is None else free_mb
    by_memory = cores if free_mb is None else int((free_mb - _RESERVE_MB) // memory_mb)
    return max(1, min(cores // threads, by_memory))


def fits(free_mb: float | None, *, memory_mb: int, promised_mb: float) -> bool:
    """Whether one more study may begin.

    Args:
        free_mb: memory that is free now; None if unknown.
        memory_mb: what the study may take.
        promised_mb: what studies in progress may still take.
    """
    return free_mb is None or free_mb - promised_mb >= memory_mb
