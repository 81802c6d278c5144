"""Where the files of the package are: beside the sources, or in the share folder that they were installed into."""

from pathlib import Path


def find(name: str) -> Path | None:
    """A file of the package by its path below the share folder, such as "config/hand_mesh.yaml"; None where it is missing."""
    here = Path(__file__).resolve()
    places = (here.parents[2], *(parent / "share/hand_mesh_ros" for parent in here.parents))
    return next((place / name for place in places if (place / name).is_file()), None)
