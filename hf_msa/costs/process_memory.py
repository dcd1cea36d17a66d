"""The memory of another process, as Linux tells it.

The peak of its anonymous memory (`RssAnon`) is what nobody but the process can free. The peak of its resident memory
(`VmHWM`) counts the mapped pages of files too, and these stay only for as long as nobody else needs the memory.
"""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

_SECONDS_BETWEEN_LOOKS = 0.01


def peaks_of(command: list[str], log: Path, report: Callable[[int, float], None]) -> tuple[int, int]:
    """Run a process and return the peaks of its anonymous and of its resident memory in bytes.

    Args:
        command: The process.
        log: Where it writes.
        report: Told the peak of anonymous memory so far and the seconds, at every look.

    Raises:
        RuntimeError: When the process fails; with what it wrote.
    """
    anonymous = resident = 0
    start = time.perf_counter()
    # Nothing is downloaded; a machine without network shall not be asked to wait for it.
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    with (
        log.open("wb") as out,
        subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment) as process,
    ):
        try:
            while process.poll() is None:
                held = memory_of(process.pid)
                anonymous = max(anonymous, held.get("RssAnon", 0))
                resident = max(resident, held.get("VmHWM", 0))
                report(anonymous, time.perf_counter() - start)
                time.sleep(_SECONDS_BETWEEN_LOOKS)
        finally:
            process.kill()
    if process.returncode:
        written = log.read_text(encoding="utf-8", errors="replace")
        raise RuntimeError(f"training failed with exit code {process.returncode}:\n{written}")
    return anonymous, resident


def memory_of(process: int | str) -> dict[str, int]:
    """Return what Linux says about a process's memory, in bytes; nothing once it has ended, and on other systems.

    Args:
        process: Number of the process, or "self".
    """
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    return {
        key: int(value.split()[0]) * 1024
        for key, _, value in (line.partition(":") for line in lines)
        if key in ("RssAnon", "VmHWM")
    }


__all__ = ["memory_of", "peaks_of"]
