"""Memory that is free within the process, given back to the system."""

import ctypes
import gc


def give_back() -> None:
    """Frees what nothing refers to. The C library of Linux keeps such memory for itself unless it is told to give it back."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none
    if trim is not None:
        trim(0)
