"""Subscriptions of the node. Callbacks only store messages. If messages are missing, this module reports the likely reason."""

import math
import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import combinations

from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from hand_mesh_ros.core.stream.intake import Intake
from hand_mesh_ros.ros import qos
from hand_mesh_ros.ros.endpoints import Endpoints
from hand_mesh_ros.ros.input import diagnosis
from hand_mesh_ros.ros.input.diagnosis import Wire
from hand_mesh_ros.ros.input.latched_info import LatchedInfo
from hand_mesh_ros.ros.input.stamp_watch import NO_CLOCK
from hand_mesh_ros.ros.stamp import stamp_ns

# Without depth for this time while images arrive, depth is silent. With a look each second, this is known within 3 s [s].
_DEPTH_SILENCE_S = 1.5
# After a longer pause of the images, the time of the images begins again [s].
_PAUSE_S = 1.0


class Inputs:
    """Subscribes to image, calibration and depth."""

    def __init__(
        self,
        endpoints: Endpoints,
        intake: Intake[Image | CompressedImage],
        image_qos: str,
        image_transport: str,
        depth_transport: str,
        on_image: Callable[[], None],
        refuse: Callable[[str, str], None],
    ) -> None:
        """Subscribes.

        Args:
            endpoints: endpoints of the node that subscribes.
            intake: receives images and depth.
            image_qos: as in `qos.image_intake`. Parameters `qos_overrides...` have priority.
            image_transport: "raw" or "compressed". "compressed" uses the subtopic of the (remapped) raw image topic.
            depth_transport: "raw", "compressedDepth" or "compressed"; the last two use the subtopic of the depth topic.
            on_image: called for each message on the image topic, valid or invalid.
            refuse: called with the input's name and the reason for each rejected message.

        Raises:
            ValueError: if two inputs are remapped to one topic.
            QosOverrideError: if a QoS override is invalid.
        """
        self.camera_info: CameraInfo | None = None  # newest message
        self._camera_info_came = threading.Event()
        self._node, self._intake, self._on_image, self._refuse = endpoints.node, intake, on_image, refuse
        self._conflicts: dict[str, str] = {}
        self._image_s = self._images_since_s = self._depth_s = -math.inf  # monotonic times: last image, first one, last depth
        # Whether depth had a publisher at the last look, and at the one before.
        self._depth_is_sent = self._depth_was_sent = False
        self._subscriptions: dict[str, Subscription] = {}
        self._wires: dict[str, Wire] = {}
        base = self._node.resolve_topic_name("image")
        kinds = {"raw": (Image, base), "compressed": (CompressedImage, f"{base}/compressed")}
        image_kind, image_topic = kinds.pop(image_transport)
        self._other_transport, (other_kind, other_topic) = kinds.popitem()
        self._other_wire = Wire("image", other_topic, other_kind)
        base = self._node.resolve_topic_name("depth")
        self._other_depths = diagnosis.depth_topics(base)
        depth_topic = self._other_depths.pop(depth_transport)
        depth_kind = Image if depth_transport == "raw" else CompressedImage
        self._require_distinct_topics(image_topic, depth_topic)
        # The image subscription is last. Calibration and depth then connect first, and the executor takes their messages first.
        for name, topic, kind, callback, profile in (
            ("camera_info", "camera_info", CameraInfo, self._info_came, "sensor_data"),
            ("depth", depth_topic, depth_kind, self._depth_came, image_qos),
            ("image", image_topic, image_kind, self._image_came, image_qos),
        ):
            events = qos.SubscriptionEventCallbacks(incompatible_qos=partial(self._offered_another_qos, name))
            subscription = endpoints.subscription(kind, topic, callback, qos.image_intake(profile), events)
            self._subscriptions[name] = subscription
            self._wires[name] = Wire(name, subscription.topic_name, kind)
        self._latched_info = LatchedInfo(self._node, self.topic("camera_info"), self._info_came)
        endpoints.on_destroy(self._latched_info.destroy)

    def look_around(self) -> None:
        """Adapts to publishers that have appeared since the last call. Call this in the thread of the executor."""
        self._latched_info.look()
        self._depth_was_sent = self._depth_is_sent
        self._depth_is_sent = self._node.count_publishers(self.topic("depth")) > 0

    def topic(self, name: str) -> str:
        """Returns the full topic name of an input, after remapping."""
        return self._subscriptions[name].topic_name

    def reliability(self, name: str) -> str:
        """Returns the reliability that an input requests, for example "best_effort"."""
        return self._subscriptions[name].qos_profile.reliability.name.lower()

    def wait_for_camera_info(self, timeout_s: float) -> None:
        """Waits up to `timeout_s` for the first CameraInfo."""
        self._camera_info_came.wait(timeout_s)

    def publishers(self) -> dict[str, int]:
        """Returns the number of publishers of each input."""
        return {name: self._node.count_publishers(self.topic(name)) for name in self._subscriptions}

    def rivals(self) -> str:
        """Returns a hint if several publishers send images on the same topic; else an empty text."""
        topic = self.topic("image")
        count = self._node.count_publishers(topic)
        return f"; {topic} has {count} publishers: let one camera at a time send there" if count > 1 else ""

    def why_no_image(self) -> str:
        """Returns the most likely reason why no image arrives."""
        image, other = self._wires["image"], self._other_wire
        return diagnosis.why_no_image(self._node, image, other, self._other_transport, self._conflicts.get("image", ""))

    def why_no_camera_info(self) -> str:
        """Returns the most likely reason why no calibration arrives."""
        return diagnosis.why_no_camera_info(self._node, self._wires["camera_info"])

    def why_no_depth(self) -> str:
        """Returns why depth that is sent does not arrive; empty if there is no reason."""
        conflict = self._conflicts.get("depth", "")
        return diagnosis.why_no_depth(self._node, self._wires["depth"], self._other_depths, conflict, self._depth_is_silent())

    def _depth_is_silent(self) -> bool:
        """Whether images arrive without depth. A publisher that has just appeared may still be connecting."""
        now_s = time.monotonic()
        if now_s - self._image_s > _PAUSE_S or not self._depth_was_sent:
            return False
        return now_s - max(self._images_since_s, self._depth_s) > _DEPTH_SILENCE_S

    def _require_distinct_topics(self, image_topic: str, depth_topic: str) -> None:
        """Raises ValueError if two inputs have the same topic. DDS would refuse, or depth would be an image of colours."""
        topics = {"image": image_topic, "camera_info": self._node.resolve_topic_name("camera_info"), "depth": depth_topic}
        for (name, topic), (other, other_topic) in combinations(topics.items(), 2):
            if topic == other_topic:
                raise ValueError(
                    f"{name} and {other} are remapped to the same topic {topic}: give each its own topic ({other}:=..)"
                )

    def _image_came(self, image: Image | CompressedImage) -> None:
        self._on_image()
        now_s = time.monotonic()
        if now_s - self._image_s > _PAUSE_S:
            self._images_since_s = now_s
        self._image_s = now_s
        if stamp := stamp_ns(image.header):
            self._intake.put_image(image, stamp)
        else:
            self._refuse("image", f"the stamp is zero; the driver must stamp its images{self._hint_at_clock()}")

    def _info_came(self, info: CameraInfo) -> None:
        self.camera_info = info
        self._camera_info_came.set()

    def _depth_came(self, depth: Image | CompressedImage) -> None:
        self._depth_s = time.monotonic()
        if stamp := stamp_ns(depth.header):
            self._intake.put_depth(depth, stamp)
        else:
            self._refuse(
                "depth", f"the stamp is zero; depth without a stamp cannot be paired with an image{self._hint_at_clock()}"
            )

    def _hint_at_clock(self) -> str:
        """A hint for stamps of zero: with simulated time, every clock is zero until a message on /clock arrives."""
        return "" if self._node.get_clock().now().nanoseconds else f" ({NO_CLOCK})"

    def _offered_another_qos(self, name: str, event: qos.QoSRequestedIncompatibleQoSInfo) -> None:
        self._conflicts[name] = qos.policy_name(event.last_policy_kind)
        self._node.get_logger().warning(
            f"a publisher on {self.topic(name)} offers another {self._conflicts[name]} than requested "
            f"({self.reliability(name)}): its messages do not arrive; set the parameter image_qos"
        )
