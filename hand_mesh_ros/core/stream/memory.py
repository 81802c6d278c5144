"""Memory of the process: its size, and the return of unused memory to the system."""

import ctypes
import gc
import math
import os
from pathlib import Path


def resident_mb(process: int | str = "self") -> float:
    """The resident memory of a process, without swapped-out pages; NaN if the system does not report this number.

    Args:
        process: number of the process; "self" for this process.
    """
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except OSError:
        return math.nan
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def give_back() -> None:
    """Frees objects without references. Then calls `malloc_trim`, because the C library of Linux keeps freed memory otherwise."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries do not have this function
    if trim is not None:
        trim(0)
