"""Subscriptions of the node. Callbacks only store messages. If messages are missing, this module reports the likely reason."""

import threading
from collections.abc import Callable
from functools import partial

from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from hand_mesh_ros.core.stream.intake import Intake
from hand_mesh_ros.ros import qos
from hand_mesh_ros.ros.endpoints import Endpoints
from hand_mesh_ros.ros.input.latched_info import LatchedInfo
from hand_mesh_ros.ros.stamp import stamp_ns


class Inputs:
    """Subscribes to image, calibration and depth."""

    def __init__(
        self,
        endpoints: Endpoints,
        intake: Intake[Image | CompressedImage],
        image_qos: str,
        image_transport: str,
        on_image: Callable[[], None],
        refuse: Callable[[str, str], None],
    ) -> None:
        """Subscribes.

        Args:
            endpoints: endpoints of the node that subscribes.
            intake: receives images and depth.
            image_qos: as in `qos.image_intake`. Parameters `qos_overrides...` have priority.
            image_transport: "raw" or "compressed". "compressed" uses the subtopic of the (remapped) raw image topic.
            on_image: called for each message on the image topic, valid or invalid.
            refuse: called with the input's name and the reason for each rejected message.
        """
        self.camera_info: CameraInfo | None = None  # newest message
        self._camera_info_came = threading.Event()
        self._node, self._intake, self._on_image, self._refuse = endpoints.node, intake, on_image, refuse
        self._conflicts: dict[str, str] = {}
        self._subscriptions: dict[str, Subscription] = {}
        base = self._node.resolve_topic_name("image")
        kinds = {"raw": (Image, base), "compressed": (CompressedImage, f"{base}/compressed")}
        image_kind, image_topic = kinds.pop(image_transport)
        self._other_transport, (_, self._other_topic) = kinds.popitem()
        # The image subscription is last. Calibration and depth then connect first, and the executor takes their messages first.
        for name, topic, kind, callback, profile in (
            ("camera_info", "camera_info", CameraInfo, self._info_came, "sensor_data"),
            ("depth", "depth", Image, self._depth_came, image_qos),
            ("image", image_topic, image_kind, self._image_came, image_qos),
        ):
            events = qos.SubscriptionEventCallbacks(incompatible_qos=partial(self._offered_another_qos, name))
            subscription = endpoints.subscription(kind, topic, callback, qos.image_intake(profile), events)
            self._subscriptions[name] = subscription
        self._latched_info = LatchedInfo(self._node, self.topic("camera_info"), self._info_came)
        endpoints.on_destroy(self._latched_info.destroy)

    def look_around(self) -> None:
        """Adapts to publishers that have appeared since the last call. Call this in the thread of the executor."""
        self._latched_info.look()

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
        topic = self.topic("image")
        if not self._node.count_publishers(topic):
            hint = f", but {self._other_topic} has: set the parameter image_transport to {self._other_transport}"
            return f"no image: {topic} has no publisher{hint if self._node.count_publishers(self._other_topic) else ''}"
        if "image" in self._conflicts:
            return f"no image: the publisher of {topic} offers another {self._conflicts['image']}; set the parameter image_qos"
        return (
            f"no image arrives on {topic} although it has a publisher; with best effort, images larger than the publisher's "
            "shared memory segment are lost: start the driver with FASTDDS_DEFAULT_PROFILES_FILE=config/fastdds_images.xml "
            "or set image_qos to reliable"
        )

    def _image_came(self, image: Image | CompressedImage) -> None:
        self._on_image()
        if stamp := stamp_ns(image.header):
            self._intake.put_image(image, stamp)
        else:
            self._refuse("image", "the stamp is zero; the driver must stamp its images")

    def _info_came(self, info: CameraInfo) -> None:
        self.camera_info = info
        self._camera_info_came.set()

    def _depth_came(self, depth: Image) -> None:
        if stamp := stamp_ns(depth.header):
            self._intake.put_depth(depth, stamp)
        else:
            self._refuse("depth", "the stamp is zero; depth without a stamp cannot be paired with an image")

    def _offered_another_qos(self, name: str, event: qos.QoSRequestedIncompatibleQoSInfo) -> None:
        self._conflicts[name] = qos.policy_name(event.last_policy_kind)
        self._node.get_logger().warning(
            f"a publisher on {self.topic(name)} offers another {self._conflicts[name]} than requested "
            f"({self.reliability(name)}): its messages do not arrive; set the parameter image_qos"
        )
