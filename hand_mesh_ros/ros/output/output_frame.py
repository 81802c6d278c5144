"""Transforms hands from the image frame to the frame of the parameter `output_frame`, at the time of the image."""

from collections.abc import Sequence

from std_msgs.msg import Header

from hand_mesh_ros.core.robot.change_frame import moved
from hand_mesh_ros.core.stream.transform_buffer import TransformError
from hand_mesh_ros.core.types import HandEstimate
from hand_mesh_ros.ros.endpoints import Endpoints
from hand_mesh_ros.ros.input import transforms
from hand_mesh_ros.ros.stamp import stamp_ns


class OutputFrame:
    """Transforms the hands of an image to the output frame. Tracking across images remains in the camera frame."""

    def __init__(self, endpoints: Endpoints, name: str, patience_s: float) -> None:
        """Subscribes to TF if the frame name is not empty.

        Args:
            endpoints: endpoints of the node that subscribes.
            name: name of the output frame; empty for the image frame.
            patience_s: maximum time to wait for an unknown transform.
        """
        self._name, self._patience_s = name, patience_s
        self._transforms = transforms.listen(endpoints) if name else None
        self.missed = 0  # images without a transform

    def of(self, estimates: Sequence[HandEstimate], header: Header) -> tuple[Sequence[HandEstimate], Header]:
        """Returns the hands of an image in the output frame and their header. The header has the stamp of the image.

        Raises:
            TransformError: if the camera pose at that time is unknown. The text contains both frames, the time and the reason.
        """
        if self._transforms is None or header.frame_id == self._name:
            return estimates, header
        taken_ns = stamp_ns(header)
        try:
            there = transforms.wait_for(self._transforms, self._name, header.frame_id, taken_ns, self._patience_s)
        except TransformError as error:
            self.missed += 1
            raise TransformError(
                f"hands not published: no transform from {header.frame_id or 'an image without frame_id'} to output_frame "
                f"{self._name} at {header.stamp.sec}.{header.stamp.nanosec:09d}: {error}"
            ) from error
        return [moved(hand, there[:3, :3], there[:3, 3]) for hand in estimates], Header(stamp=header.stamp, frame_id=self._name)

    def clear(self) -> None:
        """Drops all dynamic transforms after image stamps jumped back."""
        if self._transforms is not None:
            self._transforms.clear()
