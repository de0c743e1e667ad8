"""How much memory is left."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import torch

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

# A cautious guess for a system that does not tell.
_UNKNOWN_MEMORY = 4 * 2**30
# The files of a control group by its version: limits, use, and the names of the page cache.
_GROUP_FILES = {
    1: (
        ("memory.limit_in_bytes",),
        "memory.usage_in_bytes",
        ("total_inactive_file", "total_active_file"),
    ),
    2: (("memory.max", "memory.high"), "memory.current", ("inactive_file", "active_file")),
}


def give_back_memory() -> None:
    """Free what an error has left behind, in cycles of objects and in torch's cache."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def available_memory(device: torch.device) -> int:
    """Return the memory in bytes that a process can still take on a device.

    Parameters
    ----------
    device : torch.device
        A GPU's memory is what is free, with what torch keeps for later. That of any other device is
        the main memory.

    Returns
    -------
    int
    """
    if device.type != "cuda":
        return available_main_memory()
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + kept


def available_main_memory(root: Path = Path("/")) -> int:
    """Return the main memory in bytes that this process can still take.

    The least of what the machine, the control groups (containers) and the process's own limits
    leave. The page cache counts as available, because it gives way.

    Parameters
    ----------
    root : Path, default=Path("/")
        Where the system's files are.

    Returns
    -------
    int
    """
    known = [*_left_in_machine(root), *_left_in_groups(root), *_left_to_process(root)]
    return max(0, min(known, default=_UNKNOWN_MEMORY))


def _left_in_machine(root: Path) -> Iterator[int]:
    available = _numbers(root / "proc/meminfo").get("MemAvailable:")
    if available is not None:
        yield 1024 * available
    elif "SC_AVPHYS_PAGES" in getattr(os, "sysconf_names", {}):
        yield os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _left_in_groups(root: Path) -> Iterator[int]:
    """Yield what each control group that the process is in leaves, with the groups around it."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "memory" not in controllers.split(","):
            continue
        version = 1 if controllers else 2
        mount = root / ("sys/fs/cgroup/memory" if version == 1 else "sys/fs/cgroup")
        inner = PurePosixPath(path.lstrip("/"))
        # Inside a container the path may be one of the host's: then its last existing part counts.
        for group in (inner, *inner.parents):
            if ".." not in group.parts:
                yield from _left_in_group(mount / group, version)


def _left_in_group(group: Path, version: int) -> Iterator[int]:
    limits, use, cached = _GROUP_FILES[version]
    used = _read(group / use).strip()
    if not used.isdecimal():
        return
    statistics = _numbers(group / "memory.stat")
    taken = int(used) - sum(statistics.get(name, 0) for name in cached)
    for name in limits:
        limit = _read(group / name).strip()
        if limit.isdecimal():  # no limit is the word "max"
            yield int(limit) - taken


def _left_to_process(root: Path) -> Iterator[int]:
    """Yield what ``ulimit`` leaves: of the address space, and of the data."""
    pages = _read(root / "proc/self/statm").split()
    if resource is None or not pages:
        return
    for limit, used in ((resource.RLIMIT_AS, pages[0]), (resource.RLIMIT_DATA, pages[5])):
        soft, _ = resource.getrlimit(limit)
        if soft != resource.RLIM_INFINITY:
            yield soft - int(used) * resource.getpagesize()


def _numbers(file: Path) -> dict[str, int]:
    """Return the numbers of a file whose lines are a name, a number and perhaps a unit."""
    lines = [line.split() for line in _read(file).splitlines()]
    return {line[0]: int(line[1]) for line in lines if len(line) > 1 and line[1].isdecimal()}


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
