"""The SROS 2 policy of the package allows what the node really offers and uses, and nothing else."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from graph import ROOT, Graph

START_S = 60.0
# Offered or used only in some settings or where another package is installed.
OPTIONAL = {"/tf", "/tf_static", "/clock", "collision_objects", "image/compressed", "depth/compressedDepth", "depth/compressed"}
_ACTION = "/_action/"


def allowed(kind: str, what: str) -> set[str]:
    """Names in the policy, such as the topics that the node may publish."""
    profile = ElementTree.parse(Path(ROOT) / "config/sros2_policy.xml").find(".//profile[@node='hand_mesh_node']")
    assert profile.get("ns") == "/hand_mesh"
    return {item.text for group in profile.findall(f"{kind}s[@{what}='ALLOW']") for item in group}


@pytest.fixture(scope="module")
def used() -> dict[str, set[str]]:
    """Names that the node has in the graph, below its namespace where they are."""
    graph = Graph("security")
    name, prefix = "hand_mesh_node", f"{graph.namespace}/"

    def names(found: list[tuple[str, list[str]]]) -> set[str]:
        return {topic.removeprefix(prefix).replace(f"{name}/", "~/") for topic, _ in found}

    def seen() -> dict[str, set[str]]:
        try:
            publishers = names(graph.node.get_publisher_names_and_types_by_node(name, graph.namespace))
            subscribers = names(graph.node.get_subscriber_names_and_types_by_node(name, graph.namespace))
            services = names(graph.node.get_service_names_and_types_by_node(name, graph.namespace))
        except Exception:  # the node is not known yet; rclpy's exception for it is not public
            return {}
        actions = {topic.split(_ACTION)[0] for topic in services if _ACTION in topic}
        plain = [{topic for topic in topics if _ACTION not in topic} for topics in (publishers, subscribers, services)]
        return dict(zip(("publish", "subscribe", "reply", "execute"), (*plain, actions)))

    def is_complete() -> bool:
        found = seen()
        # The inputs are the last that it creates.
        return bool(found) and "image" in found["subscribe"] and "~/reconstruct" in found["execute"]

    try:
        graph.start(name, threads=1)
        assert graph.wait_for(is_complete, START_S), seen()
        graph.wait_for(lambda: False, 1.0)
        return seen()
    finally:
        graph.close()


@pytest.mark.parametrize(
    ("kind", "what"), [("topic", "publish"), ("topic", "subscribe"), ("service", "reply"), ("action", "execute")]
)
def test_the_policy_is_what_the_node_does(used: dict[str, set[str]], kind: str, what: str) -> None:
    policy = allowed(kind, what)
    assert used[what] - policy == set(), "the node would be kept from this"
    assert policy - used[what] <= OPTIONAL, "the node does not do this"
