"""Finds out from the ROS graph why an input stays silent. Each text names the topic, the cause and the cure."""

import os
import pwd
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rclpy.node import Node
from sensor_msgs.msg import CompressedImage

_COMPRESSED = "/compressed"
# Values of `depth_transport` whose topic is the subtopic of depth with this name.
COMPRESSED_DEPTH = ("compressedDepth", "compressed")
_SEGMENTS = Path("/dev/shm")


@dataclass(frozen=True)
class Wire:
    """An input: its name in the node, the topic after remapping, and the message type."""

    name: str
    topic: str
    kind: type

    @property
    def type_name(self) -> str:
        return _type_name(self.kind)


def why_no_image(node: Node, image: Wire, other: Wire, other_transport: str, conflict: str) -> str:
    """The most likely reason why no image arrives.

    Args:
        node: a node of the graph.
        image: the input that is silent.
        other: the input that the node would have with `other_transport`.
        other_transport: the value of `image_transport` that the user has not set.
        conflict: the QoS policy that a publisher offers otherwise; empty if there is none.
    """
    carried = carried_types(node, image.topic)
    if not carried:
        hint = _hint_at_other_transport(node, image, other, other_transport)
        return f"no image: {image.topic} has no publisher{hint}"
    if image.type_name not in carried:
        return f"no image: {_misfit(image, carried)}: {_cure_of_image(image, carried)}"
    if conflict:
        return f"no image: the publisher of {image.topic} offers another {conflict}; set the parameter image_qos"
    return f"no image arrives on {image.topic} although it has a publisher; {_hint_at_users()}{_hint_at_loss('images')}"


def why_no_camera_info(node: Node, info: Wire) -> str:
    """The most likely reason why no calibration arrives."""
    carried = carried_types(node, info.topic)
    if not carried:
        return f"no camera_info: {info.topic} has no publisher; give the topic of the calibration (camera_info:=..)"
    if info.type_name not in carried:
        return f"no camera_info: {_misfit(info, carried)}: give the topic of the calibration (camera_info:=..)"
    return f"no camera_info arrives on {info.topic} although it has a publisher"


def depth_topics(base: str) -> dict[str, str]:
    """The topic of depth for each value of `depth_transport`, if `base` is the full name of the topic of raw depth."""
    return {"raw": base, **{transport: f"{base}/{transport}" for transport in COMPRESSED_DEPTH}}


def why_no_depth(node: Node, depth: Wire, others: Mapping[str, str], conflict: str, is_silent: bool) -> str:
    """Why depth that is sent does not arrive; empty if no depth is sent, since depth is optional, or if depth arrives.

    Args:
        node: a node of the graph.
        depth: the input that is silent.
        others: topics that the node would have with other values of `depth_transport`, by these values.
        conflict: as in `why_no_image`.
        is_silent: no depth has arrived for some time.
    """
    carried = carried_types(node, depth.topic)
    if not carried:
        sent = [(transport, topic) for transport, topic in others.items() if carried_types(node, topic)]
        return f"no depth: {depth.topic} has no publisher, but {_choice_of_depth(*sent[0])}" if sent else ""
    if depth.type_name not in carried:
        return f"no depth: {_misfit(depth, carried)}: {_cure_of_depth(depth, carried)}"
    if conflict:
        return f"no depth: the publisher of {depth.topic} offers another {conflict}; set the parameter image_qos"
    if not is_silent:
        return ""
    return (
        f"no depth arrives on {depth.topic} although it has a publisher; {_hint_at_users()}{_hint_at_loss('depth images')}; "
        "or enable depth in the driver, or remap depth to an unused topic (depth:=no_depth)"
    )


def foreign_info(image_frame: str, info_frame: str) -> str:
    """Why the calibration may be that of another camera; empty if the frames of image and calibration agree or are not known."""
    if not image_frame or not info_frame or image_frame.lstrip("/") == info_frame.lstrip("/"):
        return ""
    return (
        f"image has the frame_id '{image_frame}', camera_info '{info_frame}': the calibration may be that of another camera; "
        "give the camera_info of the image (camera_info:=..), or let the driver name the same frame in both"
    )


def carried_types(node: Node, topic: str) -> set[str]:
    """Types of the publishers of a topic, for example "sensor_msgs/msg/Image"; empty if there is no publisher."""
    return {publisher.topic_type for publisher in node.get_publishers_info_by_topic(topic)}


def _hint_at_users() -> str:
    """A hint if another user has shared memory segments of Fast DDS; else an empty text. Only their owner may write to them."""
    own, owners = os.geteuid(), set()
    for segment in _SEGMENTS.glob("fast*"):  # fastdds_ and, up to Jazzy, fastrtps_
        with suppress(OSError):  # the segment has gone in the meantime
            owners.add(segment.stat().st_uid)
    if not owners - {own}:
        return ""
    others = ", ".join(_user_name(owner) for owner in sorted(owners - {own}))
    return (
        f"segments in {_SEGMENTS} belong to {others}, this node runs as {_user_name(own)}, and neither can write to the segments "
        "of the other: run camera and node as one user, or start both with FASTDDS_BUILTIN_TRANSPORTS=UDPv4; or, "
    )


def _hint_at_loss(messages: str) -> str:
    return (
        f"with best effort, {messages} larger than the publisher's shared memory segment are lost: start the driver with "
        "FASTDDS_DEFAULT_PROFILES_FILE=config/fastdds_images.xml or set image_qos to reliable"
    )


def _user_name(user_id: int) -> str:
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:  # a user of the host in a container
        return f"user {user_id}"


def _hint_at_other_transport(node: Node, image: Wire, other: Wire, other_transport: str) -> str:
    carried = carried_types(node, other.topic)
    if other.type_name in carried:
        return f", but {other.topic} has: set the parameter image_transport to {other_transport}"
    if _type_name(CompressedImage) in carried and image.kind is CompressedImage:
        return f", but {_misfit(other, carried)}: {_cure_of_image(other, carried)}"
    return ""


def _choice_of_depth(transport: str, topic: str) -> str:
    return f"{topic} has: set the parameter depth_transport to {transport}"


def _cure_of_depth(depth: Wire, carried: set[str]) -> str:
    if _type_name(CompressedImage) not in carried:
        return f"give a topic of {depth.type_name} (depth:=..)"
    for transport in COMPRESSED_DEPTH:
        base = depth.topic.removesuffix(f"/{transport}")
        if base != depth.topic:
            return f"give the topic without /{transport} (depth:={base}) and set depth_transport to {transport}"
    transport = COMPRESSED_DEPTH[0]
    return f"set depth_transport to {transport} and remap depth/{transport} (-r depth/{transport}:={depth.topic})"


def _misfit(wire: Wire, carried: set[str]) -> str:
    return f"{wire.topic} carries {', '.join(sorted(carried))}, not {wire.type_name}"


def _cure_of_image(image: Wire, carried: set[str]) -> str:
    if _type_name(CompressedImage) not in carried:
        return f"give a topic of {image.type_name} (image:=..)"
    base = image.topic.removesuffix(_COMPRESSED)
    if base != image.topic:
        return f"give the topic without {_COMPRESSED} (image:={base}) and set image_transport to compressed"
    return f"set image_transport to compressed and remap image{_COMPRESSED} (-r image{_COMPRESSED}:={image.topic})"


def _type_name(kind: type) -> str:
    return f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"
