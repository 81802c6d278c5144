"""Returns unused memory of the process to the system."""

import ctypes
import gc


def give_back() -> None:
    """Frees objects without references. Then calls `malloc_trim`, because the C library of Linux keeps freed memory otherwise."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries do not have this function
    if trim is not None:
        trim(0)
