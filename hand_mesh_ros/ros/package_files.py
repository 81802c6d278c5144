"""Finds the files of the package: in the source tree, or in the installed share folder."""

from pathlib import Path


def find(name: str) -> Path | None:
    """Returns a file by its path below the share folder, for example "config/hand_mesh.yaml"; None if the file is missing."""
    here = Path(__file__).resolve()
    places = (here.parents[2], *(parent / "share/hand_mesh_ros" for parent in here.parents))
    return next((place / name for place in places if (place / name).is_file()), None)
