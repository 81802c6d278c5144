"""Finds other nodes of the ROS graph that disturb this node. Each text names the cause and the cure."""

from rclpy.node import Node


def namesakes(node: Node) -> str:
    """A warning if other nodes have the name of this node, or send hands on its topic; else an empty text."""
    own = (node.get_name(), node.get_namespace())
    count = node.get_node_names_and_namespaces().count(own)
    if count > 1:
        return (
            f"{count} nodes are called {node.get_fully_qualified_name()}: all of them publish on the same topics, and any of "
            "them answers requests; end all but one, or give each its own namespace. A node that crashed disappears after 20 s"
        )
    topic = node.resolve_topic_name("hands")
    if (senders := node.count_publishers(topic)) > 1:
        return f"{topic} has {senders} publishers: end the others, or give this node its own namespace"
    return ""


def no_bond(node: Node) -> str:
    """A hint for a node that is at rest while a lifecycle manager with bonds is in the graph; else an empty text."""
    if not node.count_publishers("/bond"):
        return ""
    cure = "if nav2_lifecycle_manager stopped this node, set the parameter bond_timeout of the manager to 0.0"
    return f"; this node has no bond: {cure}"
