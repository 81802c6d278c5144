"""Checks of the shared memory through which Fast DDS sends images between the processes of one machine."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from hand_mesh_ros.ros.checks.finding import Finding

FOLDER = Path("/dev/shm")
_PROFILES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
# The publisher writes an image while the subscriber reads the one before.
_IMAGES_AT_ONCE = 2


def space(folder: Path, image_bytes: int) -> list[Finding]:
    """Whether the shared memory holds images of this size."""
    if not folder.is_dir():
        problem = f"{folder} is missing: images go over the network interface and may get lost"
        return [Finding(str(folder), problem, "docker run --ipc=host or --shm-size=256m")]
    free = shutil.disk_usage(folder).free
    if free >= _IMAGES_AT_ONCE * image_bytes:
        return []
    problem = f"{folder} has {free / 1e6:.1f} MB left, two images need {_IMAGES_AT_ONCE * image_bytes / 1e6:.1f} MB"
    return [
        Finding(
            str(folder), problem, "docker run --shm-size=256m, or delete the files fastdds_* and fastrtps_* of ended processes"
        )
    ]


def segments(folder: Path, image_bytes: int) -> list[Finding]:
    """Whether a segment of this machine holds one image. Ask only if images get lost."""
    sizes = [path.stat().st_size for path in folder.glob("fast*") if path.is_file()]
    largest = max(sizes, default=0)
    if not largest or largest >= image_bytes:
        return []
    problem = f"the largest segment of Fast DDS in {folder} has {largest / 1e6:.1f} MB, an image has {image_bytes / 1e6:.1f} MB"
    return [Finding(str(folder), problem, f"start the driver with {_PROFILES[0]}=config/fastdds_images.xml")]


def profiles(environment: Mapping[str, str]) -> list[Finding]:
    """Profiles that the environment names and that do not exist."""
    return [
        Finding(
            name,
            f"{name} names {environment[name]}, which is not a file",
            "set it to share/hand_mesh_ros/config/fastdds_images.xml",
        )
        for name in _PROFILES
        if environment.get(name) and not Path(environment[name]).is_file()
    ]
