"""The frame that hands are published in: their image's, or the parameter `output_frame` where it was when the image was taken."""

from collections.abc import Sequence

from std_msgs.msg import Header

from hand_mesh_ros.core.robot.change_frame import moved
from hand_mesh_ros.core.stream.transform_buffer import TransformError
from hand_mesh_ros.core.types import HandEstimate
from hand_mesh_ros.ros.endpoints import Endpoints
from hand_mesh_ros.ros.input import transforms
from hand_mesh_ros.ros.stamp import stamp_ns


class OutputFrame:
    """Moves the hands of an image into the frame that was asked for; all that follows an image stays in the camera's."""

    def __init__(self, endpoints: Endpoints, name: str, patience_s: float) -> None:
        """Listens to TF if need be.

        Args:
            endpoints: of the node that listens.
            name: of the frame; empty for the image's.
            patience_s: how long a transform that is not known is waited for.
        """
        self._name, self._patience_s = name, patience_s
        self._transforms = transforms.listen(endpoints) if name else None
        self.missed = 0  # images without a transform

    def of(self, estimates: Sequence[HandEstimate], header: Header) -> tuple[Sequence[HandEstimate], Header]:
        """The hands of an image in this frame, and the header that says so; its stamp is the image's.

        Raises:
            TransformError: if it is not known where the camera was then, with both frames, the time and the reason.
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
