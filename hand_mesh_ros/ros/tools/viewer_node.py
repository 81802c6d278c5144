"""Shows images and results of the topics in a browser. Draws the newest complete result at a low rate, drops the others."""

import sys
import time
from collections import deque
from dataclasses import dataclass

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

from hand_mesh_ros.core.config import check, option
from hand_mesh_ros.core.types import Frame
from hand_mesh_ros.msg import HandArray, HandHypotheses, HandMeshArray, MeshTopology
from hand_mesh_ros.ros import parameter_check, parameters, process, qos
from hand_mesh_ros.ros.input.convert_frame import depth_of_image, to_frame
from hand_mesh_ros.ros.input.convert_image import ConversionError
from hand_mesh_ros.ros.input.latched_info import LatchedInfo
from hand_mesh_ros.ros.stamp import stamp_ns
from hand_mesh_ros.ros.tools.node_settings import NodeSettings
from hand_mesh_ros.ros.tools.viewer_messages import to_estimate

try:
    from hand_mesh_ros.viewer.live_settings import LABELS
    from hand_mesh_ros.viewer.page import Viewer
    from hand_mesh_ros.viewer.snapshot import Snapshot
except ModuleNotFoundError as error:
    if error.name not in ("viser", "trimesh"):
        raise
    raise SystemExit(f"the viewer needs viser and trimesh: {sys.executable} -m pip install viser trimesh") from error

# Results arrive later than images because of inference. The viewer stores this number of images.
_HISTORY = 30
# Largest difference of the stamps of an image and its depth, the default of hand_mesh_node.
_DEPTH_SLOP_NS = 15_000_000
# Without results for this time, the viewer shows only the image [s].
_SILENCE_S = 1.0


@dataclass(frozen=True)
class ViewerConfig:
    """Settings of `viewer`.

    Raises:
        ValueError: with the field, its value and the allowed values.
    """

    host: str = option("127.0.0.1", "network address of the page; 0.0.0.0: other machines can open the page")
    port: int = option(8080, "port of the page; the next free port if this port is in use", (1, 65535))
    max_hz: float = option(12.0, "maximum number of drawings per second", (0.5, 60.0))
    image_qos: str = option(
        "sensor_data", "QoS reliability of the subscriptions to image and depth", choices=("sensor_data", "reliable")
    )

    node: str = option("hand_mesh_node", "name of the node whose parameters the page shows and sets")

    rectified: bool = option(False, "the image is rectified; same value as in hand_mesh_node")
    mirrored_input: bool = option(False, "the image is mirrored; same value as in hand_mesh_node")

    def __post_init__(self) -> None:
        check(self)


class ViewerNode(Node):
    """Callbacks only store messages. A timer draws."""

    def __init__(self) -> None:
        """Opens the page and subscribes.

        Raises:
            ValueError, rclpy.exceptions.ParameterException: for invalid parameters.
        """
        super().__init__("viewer")
        self._config = parameters.declare(self, ViewerConfig)
        parameter_check.check(self)
        self._images: dict[int, Image] = {}
        self._depths: dict[int, Image] = {}
        self._hypotheses: dict[tuple[int, str], HandHypotheses] = {}
        self._meshes: dict[int, HandMeshArray] = {}
        self._hands: dict[int, HandArray] = {}
        self._info: CameraInfo | None = None
        self._arrivals_s: deque[float] = deque(maxlen=60)
        self._facts: dict[str, str] = {}
        self._headline = "waiting for hand_mesh_node"
        self._drawn_ns = -1
        self._viewer = Viewer(self._config.host, self._config.port, self._change_setting)
        self._settings = NodeSettings(self, self._config.node, list(LABELS), self._viewer.show_settings, self._refuse_setting)
        for kind, name, callback, profile in (
            (Image, "image", self._on_image, qos.image_intake(self._config.image_qos)),
            (Image, "depth", self._on_depth, qos.image_intake(self._config.image_qos)),
            (CameraInfo, "camera_info", self._on_info, qos.image_intake("sensor_data")),
            (HandArray, "hands", self._on_hands, qos.RESULT),
            (HandMeshArray, "meshes", self._on_meshes, qos.RESULT),
            (HandHypotheses, "hypotheses", self._on_hypotheses, qos.HYPOTHESES),
            (MeshTopology, "topology", self._on_topology, qos.LATCHED),
            (DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.DIAGNOSTICS),
        ):
            self.create_subscription(kind, name, callback, profile)
        latched_info = LatchedInfo(self, self.resolve_topic_name("camera_info"), self._on_info)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0, latched_info.look, clock=steady)
        self.create_timer(1.0 / self._config.max_hz, self._draw, clock=steady)
        self.get_logger().info(f"open {self._viewer.address} in a browser")

    def close(self) -> None:
        """Closes the page."""
        self._viewer.close()

    def _on_image(self, image: Image) -> None:
        _remember(self._images, stamp_ns(image.header), image)

    def _on_depth(self, depth: Image) -> None:
        _remember(self._depths, stamp_ns(depth.header), depth)

    def _on_info(self, info: CameraInfo) -> None:
        self._info = info

    def _on_hands(self, hands: HandArray) -> None:
        self._arrivals_s.append(time.monotonic())
        _remember(self._hands, stamp_ns(hands.header), hands)

    def _on_meshes(self, meshes: HandMeshArray) -> None:
        _remember(self._meshes, stamp_ns(meshes.header), meshes)

    def _on_hypotheses(self, hypotheses: HandHypotheses) -> None:
        _remember(self._hypotheses, (stamp_ns(hypotheses.header), hypotheses.id), hypotheses)

    def _on_topology(self, topology: MeshTopology) -> None:
        self._viewer.set_faces(np.asarray(topology.triangles, np.int32).reshape(-1, 3))

    def _on_diagnostics(self, diagnostics: DiagnosticArray) -> None:
        for status in diagnostics.status:
            if status.hardware_id == "hand_mesh_ros":
                self._headline = status.message
                self._facts = _facts({item.key: item.value for item in status.values})

    def _change_setting(self, name: str, value: int | float) -> None:
        """Called in a thread of the page."""
        self._settings.change(name, value)

    def _refuse_setting(self, reason: str) -> None:
        self.get_logger().warning(reason)
        self._viewer.warn(reason)

    def _draw(self) -> None:
        self._settings.send()
        if not self._viewer.is_watched:
            return
        stamp_ns = self._newest_complete()
        if stamp_ns is None or stamp_ns == self._drawn_ns or not self._viewer.takes_next():
            return
        self._drawn_ns = stamp_ns
        hands, meshes = self._hands.get(stamp_ns), self._meshes.get(stamp_ns)
        of_id = {} if meshes is None else {mesh.id: mesh for mesh in meshes.meshes}
        estimates = [
            to_estimate(hand, of_id.get(hand.id), self._hypotheses.get((stamp_ns, hand.id)))
            for hand in (hands.hands if hands else [])
        ]
        image = self._images.get(stamp_ns)
        # Hands cannot be drawn into the image if output_frame differs from the frame of the image.
        is_in_frame = hands is None or image is None or hands.header.frame_id == image.header.frame_id
        facts, latency_ms = self._own_facts() | self._facts, 1e3 * hands.latency if hands else float("nan")
        shown = None
        try:
            if image is not None:
                depth = self._depth_at(stamp_ns)
                shown = picture(image, self._info if is_in_frame else None, depth, self._config)
        except ConversionError as error:
            self.get_logger().error(f"image cannot be shown: {error}", throttle_duration_sec=5.0)
            return
        self._viewer.show(
            Snapshot(
                None if shown is None else shown.rgb,
                np.zeros((3, 3)) if shown is None else shown.camera_matrix,
                None if shown is None else shown.distortion,
                estimates,
                self._headline,
                facts,
                None if shown is None else shown.depth_m,
                stamp_ns * 1e-9,
                latency_ms,
            )
        )

    def _depth_at(self, stamp_ns: int) -> Image | None:
        """Returns the depth image that belongs to an image with this stamp."""
        nearest = min(self._depths, key=lambda depth_ns: abs(depth_ns - stamp_ns), default=None)
        return None if nearest is None or abs(nearest - stamp_ns) > _DEPTH_SLOP_NS else self._depths[nearest]

    def _newest_complete(self) -> int | None:
        """Returns the stamp of the newest image with complete results. Without results, returns the stamp of the newest image."""
        if not self._arrivals_s or time.monotonic() - self._arrivals_s[-1] > _SILENCE_S:
            return next(reversed(self._images), None)
        return next((stamp_ns for stamp_ns in reversed(self._meshes) if stamp_ns in self._hands), None)

    def _own_facts(self) -> dict[str, str]:
        """Returns the current rate and age in the viewer. The diagnostics arrive only once a second."""
        facts = {}
        recent = [arrival_s for arrival_s in self._arrivals_s if time.monotonic() - arrival_s < 2.0]
        if len(recent) > 1:
            facts["results"] = f"{(len(recent) - 1) / max(recent[-1] - recent[0], 1e-3):.1f} Hz"
        if self._hands:
            facts["age of the last"] = f"{1e3 * self._hands[next(reversed(self._hands))].latency:.0f} ms"
        return facts


def picture(image: Image, info: CameraInfo | None, depth: Image | None, config: ViewerConfig) -> Frame:
    """Returns the image, its calibration and its depth, as hand_mesh_node used them.

    Raises:
        ConversionError: if the image, its calibration or its depth cannot be used.
    """
    frame = to_frame(image, info, None if depth is None else depth_of_image(depth, image), config.rectified)
    return frame.mirrored() if config.mirrored_input else frame


def _facts(values: dict[str, str]) -> dict[str, str]:
    """Returns a short form of the diagnostics of hand_mesh_node. Skips missing values."""
    stages = [
        f"{key.removesuffix(' [ms]')} {value}" for key, value in values.items() if key.endswith("[ms]") and "age" not in key
    ]
    facts = {
        "images in": f"{values.get('images in [Hz]')} Hz",
        "age p50, p95": f"{values.get('age of results p50 [ms]')}, {values.get('age of results p95 [ms]')} ms",
        "stages [ms]": " · ".join(stages),
        "camera": values.get("camera", ""),
        "models": f"{values.get('model', '')} on {values.get('device', '')}",
    }
    return {name: text for name, text in facts.items() if text and "None" not in text}


def _remember(kept: dict, key: object, value: object) -> None:
    """Stores the value and drops the oldest values. The order is the order of arrival, even if stamps jump back."""
    kept.pop(key, None)
    kept[key] = value
    while len(kept) > _HISTORY:
        del kept[next(iter(kept))]


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable."""
    return process.run(ViewerNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
