"""Reads images from a bag (mcap or sqlite3) with `rosbags`. Adds depth and calibration to each image."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rclpy.serialization import deserialize_message
from rosbags.rosbag2 import Reader, ReaderError
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from hand_mesh_ros.ros.stamp import stamp_ns

# Maximum number of images that wait for depth. Also the maximum number of depth images stored for later images.
_LONGEST_QUEUE = 30
_CLASSES = {f"sensor_msgs/msg/{kind.__name__}": kind for kind in (Image, CompressedImage, CameraInfo)}
_KINDS = {"image": (Image, CompressedImage), "camera_info": (CameraInfo,), "depth": (Image, CompressedImage)}


class BagError(ValueError):
    """The bag is unusable. The text contains the bag, the reason and the content of the bag."""


@dataclass(frozen=True)
class Recorded:
    """One image of a bag."""

    recorded_ns: int  # recording time of the image
    image: Image | CompressedImage
    info: CameraInfo | None  # newest at recording time; the first one for earlier images
    depth: Image | CompressedImage | None


class BagReader:
    """Yields the images of a bag in the order of recording. Use the reader in a `with` statement."""

    def __init__(self, path: Path, topics: dict[str, str], depth_slop_s: float) -> None:
        """Opens the bag.

        Args:
            path: folder, .mcap or .db3 file.
            topics: topic names in the bag for image, camera_info and depth; an empty name means "no topic".
            depth_slop_s: largest stamp difference between an image and its depth.

        Raises:
            BagError: if the bag cannot be read, or if a topic is missing or has a wrong type.
        """
        self._path, self._slop_ns = path, int(1e9 * depth_slop_s)
        try:
            self._reader = Reader(path)
            self._reader.open()
        except (OSError, ReaderError, ValueError, KeyError) as error:
            raise BagError(f"{path} cannot be read as a ROS 2 bag: {error}") from error
        self._inputs = {topic: name for name, topic in topics.items() if topic}
        for topic, name in self._inputs.items():
            self._check(name, topic)
        self._waits = bool(topics["depth"])

    def __enter__(self) -> "BagReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    def __iter__(self) -> Iterator[Recorded]:
        waiting: deque[Recorded] = deque()
        depths: deque[Image | CompressedImage] = deque(maxlen=_LONGEST_QUEUE)
        info = next((info for _, _, info in self._messages("camera_info")), None)
        for recorded_ns, name, message in self._messages("image", "camera_info", "depth"):
            if name == "camera_info":
                info = message
            elif name == "depth":
                depths.append(message)
            else:
                waiting.append(Recorded(recorded_ns, message, info, None))
            while waiting and (not self._waits or self._is_settled(waiting[0], depths) or len(waiting) > _LONGEST_QUEUE):
                yield self._with_depth(waiting.popleft(), depths)
        for recorded in waiting:
            yield self._with_depth(recorded, depths)

    def _check(self, name: str, topic: str) -> None:
        held = {connection.topic: connection.msgtype for connection in self._reader.connections}
        if topic not in held:
            told = ", ".join(f"{other} ({kind})" for other, kind in sorted(held.items())) or "nothing"
            raise BagError(f"{self._path} has no topic {topic} for {name}; the bag contains {told}")
        if _CLASSES.get(held[topic]) not in _KINDS[name]:
            wanted = " or ".join(f"sensor_msgs/msg/{kind.__name__}" for kind in _KINDS[name])
            raise BagError(f"{topic} in {self._path} has the type {held[topic]}, {name} must be {wanted}")

    def _messages(self, *names: str) -> Iterator[tuple[int, str, Any]]:
        wanted = {topic: name for topic, name in self._inputs.items() if name in names}
        connections = [connection for connection in self._reader.connections if connection.topic in wanted]
        # With an empty list, rosbags would read all connections.
        for connection, recorded_ns, raw in self._reader.messages(connections) if connections else ():
            name = wanted[connection.topic]
            yield recorded_ns, name, deserialize_message(bytes(raw), _CLASSES[connection.msgtype])

    def _is_settled(self, recorded: Recorded, depths: deque[Image | CompressedImage]) -> bool:
        """Returns whether no later depth image can be closer in time."""
        return any(stamp_ns(depth.header) >= stamp_ns(recorded.image.header) for depth in depths)

    def _with_depth(self, recorded: Recorded, depths: deque[Image | CompressedImage]) -> Recorded:
        own_ns = stamp_ns(recorded.image.header)
        nearest = min(depths, key=lambda depth: abs(stamp_ns(depth.header) - own_ns), default=None)
        if nearest is None or abs(stamp_ns(nearest.header) - own_ns) > self._slop_ns:
            return recorded
        return Recorded(recorded.recorded_ns, recorded.image, recorded.info, nearest)
