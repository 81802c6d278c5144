"""Memory of the process: its size, and the return of unused memory to the system."""

import ctypes
import gc
import math
import os
from pathlib import Path


def resident_mb() -> float:
    """The resident memory of this process, without swapped-out pages; NaN if the system does not report this number."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return math.nan
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def give_back() -> None:
    """Frees objects without references. Then calls `malloc_trim`, because the C library of Linux keeps freed memory otherwise."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries do not have this function
    if trim is not None:
        trim(0)
