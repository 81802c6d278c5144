"""QoS profiles of all topics. Also imports the event callbacks of rclpy, because their module depends on the ROS version."""

from rcl_interfaces.msg import SetParametersResult
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy, qos_policy_name_from_kind
from rclpy.qos_overriding_options import QoSOverridingOptions

try:
    from rclpy.event_handler import QoSRequestedIncompatibleQoSInfo, SubscriptionEventCallbacks
except ImportError:  # ROS 2 Humble
    from rclpy.qos_event import QoSRequestedIncompatibleQoSInfo, SubscriptionEventCallbacks

__all__ = [
    "ALLOWED",
    "DIAGNOSTICS",
    "HYPOTHESES",
    "LATCHED",
    "OVERRIDING",
    "RESULT",
    "TF",
    "TF_STATIC",
    "QoSRequestedIncompatibleQoSInfo",
    "SubscriptionEventCallbacks",
    "image_intake",
    "policy_name",
]


def _profile(
    reliability: ReliabilityPolicy, durability: DurabilityPolicy = DurabilityPolicy.VOLATILE, depth: int = 1
) -> QoSProfile:
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability, durability=durability)


# A reliable publisher matches reliable and best-effort subscribers. The history holds one message: old hand poses are useless.
RESULT = _profile(ReliabilityPolicy.RELIABLE)
# One message per hand, all sent together. The depth holds all hands of one image (the limit of max_hands).
HYPOTHESES = _profile(ReliabilityPolicy.RELIABLE, depth=8)
LATCHED = _profile(ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)
DIAGNOSTICS = _profile(ReliabilityPolicy.RELIABLE, depth=10)
# Same as in tf2_ros.
TF = _profile(ReliabilityPolicy.RELIABLE, depth=100)
TF_STATIC = _profile(ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL, depth=100)


_LARGEST_DEPTH = 1000
ALLOWED = f"allowed are reliability: reliable or best_effort, history: keep_last or keep_all, depth: 1 to {_LARGEST_DEPTH}"


def _check_override(profile: QoSProfile) -> SetParametersResult:
    fits = (
        profile.reliability in (ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT)
        and profile.history in (HistoryPolicy.KEEP_LAST, HistoryPolicy.KEEP_ALL)
        and 1 <= profile.depth <= _LARGEST_DEPTH
    )
    return SetParametersResult(
        successful=fits, reason="" if fits else f"{profile.reliability!r}, {profile.history!r}, {profile.depth}"
    )


# Durability cannot be overridden: a late subscriber must not get an old pose, and must not miss the topology.
OVERRIDING = QoSOverridingOptions.with_default_policies(callback=_check_override)


def image_intake(name: str) -> QoSProfile:
    """Returns the profile of the image subscriptions.

    Args:
        name: "sensor_data" (best effort, matches every driver, no queue) or "reliable". Some drivers need "reliable": with best
            effort, images that are larger than the shared memory segment of the driver are lost.
    """
    return _profile({"sensor_data": ReliabilityPolicy.BEST_EFFORT, "reliable": ReliabilityPolicy.RELIABLE}[name])


def policy_name(kind: int) -> str:
    """Returns the name of the policy in an incompatible-QoS event, for example "RELIABILITY"."""
    return qos_policy_name_from_kind(kind)
