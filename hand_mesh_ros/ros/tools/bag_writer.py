"""Writes results to a bag (mcap or sqlite3) with `rosbags`. The topics in the bag are the topics of the live node."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rclpy.serialization import serialize_message
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from std_msgs.msg import Header

from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.types import HandEstimate
from hand_mesh_ros.ros import package_files
from hand_mesh_ros.ros.output import convert_hands

STORAGES = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}
_TOPICS = {"hands": "HandArray", "meshes": "HandMeshArray", "hypotheses": "HandHypotheses", "topology": "MeshTopology"}
_OWN_TYPES = ("Hand", "HandMesh", *_TOPICS.values())
_ENDLESS = QosTime(2147483647, 4294967295)


class ResultBag:
    """Writes `hands`, `meshes`, `hypotheses` and `topology` to a new bag. Use the object in a `with` statement."""

    def __init__(self, path: Path, storage: str, namespace: str, model: HandModel, model_id: str) -> None:
        """Creates the folder of the bag.

        Args:
            path: folder to create; must not exist.
            storage: a name of `STORAGES`.
            namespace: namespace of the topics, like the namespace of a live node.
            model: hand model of the written topology.
            model_id: model id in each result.

        Raises:
            rosbags.rosbag2.WriterError: if the folder exists.
            FileNotFoundError: if the package's message definitions are missing.
        """
        self._writer = Writer(path, version=9, storage_plugin=STORAGES[storage])
        self._writer.open()
        self._model, self._model_id, self._written = model, model_id, 0
        types = get_typestore(Stores.LATEST)
        for name in _OWN_TYPES:
            types.register(get_types_from_msg(_definition(name), f"hand_mesh_ros/msg/{name}"))
        self._connections = {topic: self._add(types, namespace, topic, kind) for topic, kind in _TOPICS.items()}

    def __enter__(self) -> "ResultBag":
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, estimates: Sequence[HandEstimate], header: Header, recorded_ns: int) -> None:
        """Writes the results of one image with the recording time of the image."""
        if not self._written:
            self._put("topology", convert_hands.to_topology(self._model), recorded_ns)
        self._written += 1
        hands = convert_hands.to_hands(estimates, header, self._model_id)
        hands.sequence, hands.latency = self._written, float("nan")
        self._put("hands", hands, recorded_ns)
        self._put("meshes", convert_hands.to_meshes(estimates, header, self._model.digest), recorded_ns)
        for estimate in estimates:
            self._put("hypotheses", convert_hands.to_hypotheses(estimate, header), recorded_ns)

    def _put(self, topic: str, message: Any, recorded_ns: int) -> None:
        self._writer.write(self._connections[topic], recorded_ns, serialize_message(message))

    def _add(self, types: Any, namespace: str, topic: str, kind: str) -> Any:
        durability = QosDurability.TRANSIENT_LOCAL if topic == "topology" else QosDurability.VOLATILE
        profile = Qos(
            history=QosHistory.KEEP_LAST,
            depth=8,
            reliability=QosReliability.RELIABLE,
            durability=durability,
            deadline=_ENDLESS,
            lifespan=_ENDLESS,
            liveliness=QosLiveliness.AUTOMATIC,
            liveliness_lease_duration=_ENDLESS,
            avoid_ros_namespace_conventions=False,
        )
        name = f"{namespace.rstrip('/')}/{topic}"
        return self._writer.add_connection(name, f"hand_mesh_ros/msg/{kind}", typestore=types, offered_qos_profiles=[profile])


def _definition(name: str) -> str:
    found = package_files.find(f"msg/{name}.msg")
    if found is None:
        raise FileNotFoundError(f"msg/{name}.msg of hand_mesh_ros is missing; install the package again")
    return found.read_text(encoding="utf-8")
