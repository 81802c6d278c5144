"""The planning scene holds the hands of the last second and no others, also where moveit_msgs is not installed."""

import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from graph import Graph
from std_msgs.msg import Header

from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.types import HandEstimate
from hand_mesh_ros.ros.endpoints import Endpoints
from hand_mesh_ros.ros.output import collision_objects
from hand_mesh_ros.ros.output.collision_objects import CollisionObjects


class FakeObject(SimpleNamespace):
    """The fields of moveit_msgs/CollisionObject that are used."""

    ADD, REMOVE = b"\x00", b"\x01"


class Scene:
    """A subscriber's view: the ids in the scene. Stands in for the publisher."""

    def __init__(self) -> None:
        self.ids: set[str] = set()

    def publish(self, message: FakeObject) -> None:
        (self.ids.add if message.operation == FakeObject.ADD else self.ids.discard)(message.id)

    def get_subscription_count(self) -> int:
        return 1

    def wait_for_all_acked(self, timeout: object) -> bool:
        return True


@pytest.fixture
def graph(make_graph: Callable[[str], Graph]) -> Graph:
    return make_graph("collision_objects")


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    scene = Scene()
    monkeypatch.setattr(collision_objects, "CollisionObject", FakeObject)
    monkeypatch.setattr(Endpoints, "publisher", lambda *_: scene)
    return scene


def test_hands_leave_the_scene_when_the_node_is_deactivated(
    graph: Graph, scene: Scene, model: HandModel, make_hand: Callable[..., HandEstimate], header: Header
) -> None:
    endpoints = Endpoints(graph.node)
    CollisionObjects(endpoints, model).publish([make_hand(track_id="5")], header)
    assert scene.ids == {"hand_5"}
    endpoints.destroy()
    assert not scene.ids


def test_hands_leave_the_scene_when_no_image_is_published(
    graph: Graph, scene: Scene, model: HandModel, make_hand: Callable[..., HandEstimate], header: Header
) -> None:
    """The camera is dead, or there is no transform into the output frame."""
    endpoints = Endpoints(graph.node)
    objects = CollisionObjects(endpoints, model)
    end_s = time.monotonic() + 1.0
    while time.monotonic() < end_s:
        objects.publish([make_hand(track_id="5")], header)
        assert graph.wait_for(lambda: not scene.ids, 0.1) is False, "a hand that is seen stays"
    assert graph.wait_for(lambda: not scene.ids, 3.0)
    endpoints.destroy()
