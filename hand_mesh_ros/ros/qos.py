"""Quality of service of every topic, and the one place that knows where rclpy keeps its event callbacks."""

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy, qos_policy_name_from_kind

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # ROS 2 Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

__all__ = [
    "DIAGNOSTICS",
    "HYPOTHESES",
    "LATCHED",
    "RESULT",
    "TF",
    "TF_STATIC",
    "SubscriptionEventCallbacks",
    "image_intake",
    "policy_name",
]


def _profile(
    reliability: ReliabilityPolicy, durability: DurabilityPolicy = DurabilityPolicy.VOLATILE, depth: int = 1
) -> QoSProfile:
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability, durability=durability)


# Reliable serves subscribers of either kind; one message of history, since an old hand pose is worth nothing.
RESULT = _profile(ReliabilityPolicy.RELIABLE)
# One message a hand, sent at once: room for all hands of one image (the limit of max_hands).
HYPOTHESES = _profile(ReliabilityPolicy.RELIABLE, depth=8)
LATCHED = _profile(ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)
DIAGNOSTICS = _profile(ReliabilityPolicy.RELIABLE, depth=10)
# As tf2_ros has them.
TF = _profile(ReliabilityPolicy.RELIABLE, depth=100)
TF_STATIC = _profile(ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL, depth=100)


def image_intake(name: str) -> QoSProfile:
    """Profile of the image subscriptions.

    Args:
        name: "sensor_data" (best effort: matches every driver, never queues) or "reliable" (for drivers whose images exceed
            their shared memory segment and would be lost otherwise).
    """
    return _profile({"sensor_data": ReliabilityPolicy.BEST_EFFORT, "reliable": ReliabilityPolicy.RELIABLE}[name])


def policy_name(kind: int) -> str:
    """Name of the policy that an incompatible-QoS event reports, for example "RELIABILITY"."""
    return qos_policy_name_from_kind(kind)
