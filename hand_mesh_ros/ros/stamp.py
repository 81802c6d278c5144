"""Stamps of messages as numbers."""

from std_msgs.msg import Header


def stamp_ns(header: Header) -> int:
    """The stamp in nanoseconds."""
    return header.stamp.sec * 1_000_000_000 + header.stamp.nanosec
