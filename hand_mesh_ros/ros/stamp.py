"""Converts message stamps to numbers."""

from std_msgs.msg import Header


def stamp_ns(header: Header) -> int:
    """Returns the stamp in nanoseconds."""
    return header.stamp.sec * 1_000_000_000 + header.stamp.nanosec
