"""Reads pickle files of arrays without running code from the file.

A pickle names functions and classes that the reader calls. This reader knows the few names that arrays need. It refuses all other
names. Objects of chumpy and matrices of scipy become plain records of their state (`Stored`), so neither package is necessary.
The function `as_array` computes the array of such a record.
"""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

# Name of the array constructor in files of numpy 1 and of numpy 2.
_ARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
_RECONSTRUCT = np.zeros(0).__reduce__()[0]
_SCALAR = np.float64(0).__reduce__()[0]
# Python 2 and 3 name the module of the built-in classes differently. The state of chumpy objects contains sets.
_PLAIN = {f"{module}.{kind.__name__}": kind for module in ("__builtin__", "builtins") for kind in (object, set)}


class PickleError(RuntimeError):
    """The file is damaged, or it needs more than arrays and plain values."""


class Stored:
    """State of an object whose class is not loaded."""

    origin = ""  # dotted name of the class in the file

    def __init__(self, *unused: Any) -> None:
        self.state: Any = {}

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Returns what a name of the file stands for. Every name that is not listed here is refused."""
        dotted = f"{module}.{name}"
        if module in _ARRAY_MODULES and name in ("_reconstruct", "scalar"):
            return _RECONSTRUCT if name == "_reconstruct" else _SCALAR
        if dotted in ("numpy.ndarray", "numpy.dtype"):
            return getattr(np, name)
        if dotted == "_codecs.encode":
            return _bytes_of
        if dotted in ("copy_reg._reconstructor", "copyreg._reconstructor"):
            return _new_object
        if dotted in _PLAIN:
            return _PLAIN[dotted]
        if module.split(".")[0] == "chumpy" or (module.startswith("scipy.sparse") and name.endswith("_matrix")):
            # A new class for every use, so that a file cannot change what another file reads.
            return type("Stored", (Stored,), {"origin": dotted})
        raise PickleError(f"it names {dotted}, which is not part of an array file; the file was not loaded")


def load(path: Path) -> Any:
    """Returns the content of a pickle file of Python 2 or 3.

    Raises:
        PickleError: if the file is damaged, or names anything but arrays, chumpy objects and sparse matrices.
    """
    try:
        with path.open("rb") as file:
            return _Unpickler(file, encoding="latin1").load()
    except PickleError as error:
        raise PickleError(f"{path}: {error}") from None
    except Exception as error:  # a damaged pickle can raise any error
        raise PickleError(f"{path} ({path.stat().st_size} bytes) cannot be read as a pickle of arrays: {error}") from error


def as_array(value: Any) -> np.ndarray:
    """Returns the array of a value of a file: an array, a chumpy variable or selection, or a sparse matrix.

    Raises:
        PickleError: if the value is another object.
    """
    if not isinstance(value, Stored):
        return np.asarray(value)
    state = value.state
    try:
        if value.origin == "chumpy.ch.Ch":
            return np.asarray(state["x"])
        if value.origin == "chumpy.reordering.Select":
            picked = as_array(state["a"]).ravel()[np.asarray(state["idxs"])]
            return picked.reshape(state.get("preferred_shape", picked.shape))
        if value.origin.rsplit(".", 1)[-1] in ("csc_matrix", "csr_matrix"):
            return _dense(state, is_by_column="csc" in value.origin)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise PickleError(f"{value.origin} has an unknown state: {error}") from error
    raise PickleError(f"{value.origin} is an object without a known array")


def _dense(state: dict[str, Any], is_by_column: bool) -> np.ndarray:
    rows, columns = state.get("_shape") or state["shape"]
    matrix = np.zeros((columns, rows) if is_by_column else (rows, columns))
    starts, indices, data = (np.asarray(state[name]) for name in ("indptr", "indices", "data"))
    major = np.repeat(np.arange(len(matrix)), np.diff(starts))
    np.add.at(matrix, (major, indices), data)
    return matrix.T if is_by_column else matrix


def _bytes_of(text: str, encoding: str) -> bytes:
    """Python 3 writes bytes in this form for readers of Python 2."""
    if encoding not in ("latin1", "latin-1"):
        raise PickleError(f"it encodes text as {encoding}; only latin1 is part of an array file")
    return text.encode("latin1")


def _new_object(kind: type, base: type, state: Any) -> Any:
    """Files of Python 2 make objects in this form."""
    if not (isinstance(kind, type) and issubclass(kind, Stored)):
        raise PickleError(f"it makes an object of {kind}, which is not part of an array file")
    return kind()
