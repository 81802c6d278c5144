"""Buffer of the TF tree over the last seconds, for computers without tf2_ros.

Transforms are interpolated between two samples. A time before the first sample or after the last sample is an error, because
transforms are not extrapolated. The results are equal to those of tf2, with one exception: after a frame gets a new parent, tf2
returns the old parent until the first sample with the new parent.
"""

import threading
from bisect import bisect_left
from dataclasses import dataclass, field, replace

import numpy as np

from hand_mesh_ros.core.stream.intake import RESTART_NS

# Samples of a frame are kept for this time before the newest sample of the frame; as in tf2 [ns].
HISTORY_NS = 10_000_000_000
# A larger error of the quaternion length is not a rounding error, but for example an empty message.
_LENGTH_TOLERANCE = 1e-2


class TransformError(Exception):
    """The transform is not available at this time. The message gives the reason."""


@dataclass(frozen=True)
class Sample:
    """Pose of a frame in its parent at one time."""

    parent: str
    translation_m: np.ndarray  # (3,)
    quaternion: np.ndarray  # (4,) x, y, z, w of parent_from_child

    @property
    def parent_from_child(self) -> np.ndarray:
        """(4, 4)."""
        return to_matrix(self.translation_m, self.quaternion)


@dataclass
class Track:
    """The samples of one frame, oldest first. A static frame has one sample, which is valid at all times."""

    is_static: bool
    stamps_ns: list[int] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)


class TransformBuffer:
    """Thread-safe buffer of transforms."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tracks: dict[str, Track] = {}  # by child

    def insert(self, child: str, sample: Sample, stamp_ns: int, is_static: bool) -> None:
        """Adds a sample. A sample that jumps back in time removes all moving transforms, because its source has restarted.

        Raises:
            ValueError: if the sample is not a transform between two frames.
        """
        sample = _checked(child, sample)
        with self._lock:
            track = self._tracks.get(child)
            if is_static or track is None or track.is_static:
                self._tracks[child] = Track(is_static, [stamp_ns], [sample])
                return
            if stamp_ns < track.stamps_ns[-1] - RESTART_NS:
                self._forget_moving()
                track = self._tracks[child] = Track(is_static)
            index = bisect_left(track.stamps_ns, stamp_ns)
            is_known = index < len(track.stamps_ns) and track.stamps_ns[index] == stamp_ns
            track.stamps_ns[index : index + is_known] = [stamp_ns]
            track.samples[index : index + is_known] = [sample]
            expired = bisect_left(track.stamps_ns, track.stamps_ns[-1] - HISTORY_NS)
            del track.stamps_ns[:expired], track.samples[:expired]

    def clear(self) -> None:
        """Removes all moving transforms. Static transforms stay."""
        with self._lock:
            self._forget_moving()

    def lookup(self, target: str, source: str, stamp_ns: int) -> np.ndarray:
        """target_from_source, (4, 4), at a time.

        Raises:
            TransformError: if the transform is not available.
        """
        with self._lock:
            from_source, why_not_on = self._ancestors(source, stamp_ns)
            ancestor, ancestor_from_target = target, np.eye(4)
            visited = set()
            while ancestor not in from_source:
                visited.add(ancestor)
                sample = self._sample(ancestor, stamp_ns)
                if isinstance(sample, str):
                    raise TransformError("; ".join(dict.fromkeys((why_not_on, sample))))
                if sample.parent in visited:
                    raise TransformError(f"the parents of {target} form a loop")
                ancestor, ancestor_from_target = sample.parent, sample.parent_from_child @ ancestor_from_target
        return np.linalg.inv(ancestor_from_target) @ from_source[ancestor]

    def _ancestors(self, frame: str, stamp_ns: int) -> tuple[dict[str, np.ndarray], str]:
        """ancestor_from_frame, (4, 4), of the frame and all its ancestors, and the reason for the end of the search."""
        found, ancestor = {frame: np.eye(4)}, frame
        while True:
            sample = self._sample(ancestor, stamp_ns)
            if isinstance(sample, str):
                return found, sample
            if sample.parent in found:
                return found, f"the parents of {frame} form a loop"
            found[sample.parent] = sample.parent_from_child @ found[ancestor]
            ancestor = sample.parent

    def _sample(self, child: str, stamp_ns: int) -> Sample | str:
        """Pose of a frame in its parent, or the reason why the pose is not available."""
        track = self._tracks.get(child)
        if track is None:
            is_parent = any(sample.parent == child for other in self._tracks.values() for sample in other.samples[-1:])
            return f"the tree ends at {child}" if is_parent else f"TF has no frame {child}"
        if track.is_static:
            return track.samples[0]
        stamps = track.stamps_ns
        if stamp_ns > stamps[-1]:
            return f"{child} is known only until {(stamp_ns - stamps[-1]) * 1e-9:.3f} s before this time"
        if stamp_ns < stamps[0]:
            return f"{child} is known only from {(stamps[0] - stamp_ns) * 1e-9:.3f} s after this time"
        after = bisect_left(stamps, stamp_ns)
        if stamps[after] == stamp_ns:
            return track.samples[after]
        one, other = track.samples[after - 1 : after + 1]
        if one.parent != other.parent:
            return f"the parent of {child} changes from {one.parent} to {other.parent} at this time"
        return _between(one, other, (stamp_ns - stamps[after - 1]) / (stamps[after] - stamps[after - 1]))

    def _forget_moving(self) -> None:
        self._tracks = {child: track for child, track in self._tracks.items() if track.is_static}


def to_matrix(translation_m: np.ndarray, quaternion: np.ndarray) -> np.ndarray:
    """Matrix (4, 4) of a translation (3,) and a quaternion (4,) x, y, z, w. The quaternion may have any length except 0."""
    x, y, z, w = quaternion / np.linalg.norm(quaternion)
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, 3] = translation_m
    return matrix


def _between(one: Sample, other: Sample, share: float) -> Sample:
    """Interpolation at `share` (0..1) between two samples: linear for the translation, slerp for the rotation."""
    translation_m = one.translation_m + share * (other.translation_m - one.translation_m)
    cosine = float(one.quaternion @ other.quaternion)
    # A quaternion and its negative are the same rotation. The nearer quaternion is used.
    end = other.quaternion if cosine >= 0 else -other.quaternion
    angle = np.arccos(min(abs(cosine), 1.0))
    if angle < 1e-6:  # linear interpolation, because the formula would divide by zero
        quaternion = one.quaternion + share * (end - one.quaternion)
    else:
        quaternion = (np.sin((1 - share) * angle) * one.quaternion + np.sin(share * angle) * end) / np.sin(angle)
    return Sample(one.parent, translation_m, quaternion / np.linalg.norm(quaternion))


def _checked(child: str, sample: Sample) -> Sample:
    """The sample with a quaternion of exactly unit length."""
    if not child or not sample.parent or child == sample.parent:
        raise ValueError(f"from '{child}' to '{sample.parent}' is not a transform between two frames")
    length = np.linalg.norm(sample.quaternion)
    if not (np.all(np.isfinite(sample.translation_m)) and abs(length - 1) < _LENGTH_TOLERANCE):
        raise ValueError(
            f"invalid transform of {child} in {sample.parent}: "
            f"translation {sample.translation_m.tolist()}, quaternion {sample.quaternion.tolist()}"
        )
    return replace(sample, quaternion=sample.quaternion / length)
