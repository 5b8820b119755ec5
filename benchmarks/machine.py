"""The machine that the figures are from."""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import psutil


def describe(data: Path) -> dict[str, str]:
    """Return what a reader needs to judge figures; `data` lies where PostgreSQL keeps its files."""
    return {
        "processor": _processor(),
        "cores": str(psutil.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "file system": _file_system(data),
        "sync of 8 KiB": f"{_sync_milliseconds(data):.2f} ms",
        "python": platform.python_version(),
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def _processor() -> str:
    with Path("/proc/cpuinfo").open() as lines:
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _file_system(path: Path) -> str:
    mounted = [part for part in psutil.disk_partitions(all=True) if path.is_relative_to(part.mountpoint)]
    return max(mounted, key=lambda part: len(part.mountpoint)).fstype if mounted else "unknown"


def _sync_milliseconds(directory: Path, rounds: int = 200) -> float:
    times = []
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(rounds):
            os.pwrite(file.fileno(), b"x" * 8192, 0)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000
