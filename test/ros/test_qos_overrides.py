"""Parameters `qos_overrides...`: they come before the node's own profiles, and a value that cannot be is named."""

import signal

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from graph import Graph, end
from manager import Manager
from rclpy.qos import QoSProfile, ReliabilityPolicy

RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
WAIT_S = 60.0


def profiles(graph: Graph, kind: str, topic: str) -> list[QoSProfile]:
    """Of the node's publishers or subscriptions on a topic."""
    find = graph.node.get_publishers_info_by_topic if kind == "publisher" else graph.node.get_subscriptions_info_by_topic
    infos = find(f"{graph.namespace}/{topic}")
    return [info.qos_profile for info in infos if info.node_name == "hand_mesh_node"]


def start(graph: Graph, overrides: dict[str, object], **parameters: object) -> object:
    given = {f"qos_overrides.{graph.namespace}/{name}": value for name, value in overrides.items()}
    return graph.start("hand_mesh_node", threads=1, device="cpu", **parameters, **given)


def test_an_override_comes_before_the_profile_of_the_node_also_when_it_is_activated_again():
    graph = Graph("overrides")
    try:
        start(
            graph,
            {
                "image.subscription.reliability": "best_effort",
                "hands.publisher.reliability": "best_effort",
                "right/wrist.publisher.reliability": "best_effort",
            },
            image_qos="reliable",
        )
        expected = {
            ("subscription", "image"): BEST_EFFORT,
            ("subscription", "depth"): RELIABLE,
            ("subscription", "camera_info"): BEST_EFFORT,
            ("publisher", "hands"): BEST_EFFORT,
            ("publisher", "right/wrist"): BEST_EFFORT,
            # The same profile as of `hands`, without an override of its own.
            ("publisher", "meshes"): RELIABLE,
            ("publisher", "left/wrist"): RELIABLE,
        }

        def found() -> dict:
            return {key: [profile.reliability for profile in profiles(graph, *key)] for key in expected}

        wanted = {key: [reliability] for key, reliability in expected.items()}
        assert graph.wait_for(lambda: found() == wanted, WAIT_S), found()
        manager = Manager(graph)
        manager.bring_to("inactive")
        assert graph.wait_for(lambda: not any(found().values()), WAIT_S), found()
        manager.bring_to("active")
        assert graph.wait_for(lambda: found() == wanted, WAIT_S), found()
    finally:
        graph.close()


@pytest.mark.parametrize(
    ("name", "value", "needle"),
    [
        ("image.subscription.reliability", "relible", "`relible`"),
        ("image.subscription.depth", 0, ", 0;"),
        ("hands.publisher.depth", "ten", "'ten'"),
        ("topology.publisher.history", "unknown", "UNKNOWN"),
    ],
)
def test_an_override_that_cannot_be_is_named_by_a_node_that_lives_and_has_no_topics(name, value, needle):
    graph = Graph("bad_override")
    try:
        process = start(graph, {name: value})
        topic, _, policy = name.rpartition(".")

        def named() -> DiagnosticStatus | None:
            words = (f"qos_overrides.{graph.namespace}/{topic}", needle, policy, "allowed are")
            return next((status for status in graph.statuses() if all(word in status.message for word in words)), None)

        assert graph.wait_for(named, WAIT_S), [status.message for status in graph.statuses()[-2:]]
        assert named().level == DiagnosticStatus.ERROR
        manager = Manager(graph)
        assert manager.state() == "inactive"
        assert not manager.change("activate")
        assert graph.wait_for(lambda: not profiles(graph, "publisher", "hands"), WAIT_S)
        assert not profiles(graph, "subscription", "image")
        code, log = end(process, signal.SIGTERM)
        assert code == 0, log
        assert "Traceback" not in log, log
    finally:
        graph.close()
