"""Shapes for motion planners: the service answers over DDS with a hand that is there now, and says why where there is none."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from graph import Graph
from rclpy.client import Client
from shape_msgs.msg import SolidPrimitive
from std_msgs.msg import Header

from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.robot.capsules import HandCapsules, distances_m
from hand_mesh_ros.core.topology import BONES
from hand_mesh_ros.core.types import HandEstimate
from hand_mesh_ros.msg import Hand
from hand_mesh_ros.ros.endpoints import Endpoints
from hand_mesh_ros.ros.output import collision_objects, hand_shapes
from hand_mesh_ros.ros.output.collision_objects import CollisionObjects
from hand_mesh_ros.ros.output.hand_shapes import HandShapes, to_primitives
from hand_mesh_ros.srv import GetHandShape


@pytest.fixture(scope="module")
def graph() -> Iterator[Graph]:
    graph = Graph("hand_shapes")
    yield graph
    graph.close()


@pytest.fixture
def shapes(graph: Graph, model: HandModel) -> Iterator[HandShapes]:
    endpoints = Endpoints(graph.node)
    yield HandShapes(endpoints, model)
    endpoints.destroy()


@pytest.fixture(scope="module")
def client(graph: Graph) -> Client:
    return graph.node.create_client(GetHandShape, "test/get_hand_shape")


@pytest.fixture
def ask(graph: Graph, client: Client, shapes: HandShapes) -> Callable[..., GetHandShape.Response]:
    def call(side: int = Hand.SIDE_RIGHT, k_sigma: float = 0.0) -> GetHandShape.Response:
        assert graph.wait_for(client.service_is_ready)
        future = client.call_async(GetHandShape.Request(side=side, k_sigma=k_sigma))
        assert graph.wait_for(future.done)
        return future.result()

    return call


@pytest.fixture
def hand(make_hand: Callable[..., HandEstimate]) -> HandEstimate:
    """A right hand, known to 5 mm."""
    return make_hand(joint_covariance_m2=np.tile(25e-6 * np.eye(3), (21, 1, 1)))


def xyz(points: list) -> np.ndarray:
    return np.array([[point.x, point.y, point.z] for point in points])


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_shape_of_a_hand_is_its_mesh_within_its_primitives(ask, shapes, hand, header, side):
    if side == "left":
        mirrored = {name: mirror_points(getattr(hand, name)) for name in ("joints_m", "vertices_m")}
        hand = replace(hand, handedness="left", **mirrored)
    shapes.update([hand], header)
    answer = ask(Hand.SIDE_LEFT if side == "left" else Hand.SIDE_RIGHT)
    assert answer.success, answer.message
    assert (answer.header, answer.id) == (header, hand.track_id)
    vertices = xyz(answer.mesh.vertices)
    np.testing.assert_allclose(vertices, hand.vertices_m)
    faces = np.array([triangle.vertex_indices for triangle in answer.mesh.triangles])
    volume = np.linalg.det(vertices[faces] - vertices.mean(0)).sum() / 6
    assert volume > 1e-4, "triangles must be counter-clockwise from outside: a hand has 0.3 to 0.5 litres"
    assert [p.type for p in answer.primitives] == [SolidPrimitive.CYLINDER] * 20 + [SolidPrimitive.SPHERE] * 21
    outside = np.full(len(vertices), np.inf)
    for primitive, placed in zip(answer.primitives, answer.primitive_poses):
        outside = np.minimum(outside, distance_outside(vertices, primitive, placed))
    assert outside.max() < 1e-6, "the primitives hold the whole skin"


def distance_outside(points: np.ndarray, primitive: SolidPrimitive, placed: object) -> np.ndarray:
    """How far points are outside of a primitive, as a planner reads it: cylinders along the z of their pose."""
    local = points - xyz([placed.position])
    if primitive.type == SolidPrimitive.SPHERE:
        return np.linalg.norm(local, axis=-1) - primitive.dimensions[SolidPrimitive.SPHERE_RADIUS]
    q = placed.orientation
    axis = np.array([2 * (q.x * q.z + q.y * q.w), 2 * (q.y * q.z - q.x * q.w), 1 - 2 * (q.x**2 + q.y**2)])
    along = local @ axis
    across = np.linalg.norm(local - along[:, None] * axis, axis=-1)
    half = primitive.dimensions[SolidPrimitive.CYLINDER_HEIGHT] / 2
    return np.maximum(np.abs(along) - half, across - primitive.dimensions[SolidPrimitive.CYLINDER_RADIUS])


def test_primitives_are_inflated_by_the_doubt_asked_for(ask, shapes, hand, header):
    shapes.update([hand], header)
    plain, inflated = ask(k_sigma=0.0), ask(k_sigma=2.0)
    growth = [new.dimensions[-1] - old.dimensions[-1] for old, new in zip(plain.primitives, inflated.primitives)]
    np.testing.assert_allclose(growth, 0.01, atol=1e-6)


def test_it_says_why_there_is_no_shape(ask, shapes, hand, header, monkeypatch):
    assert "no image was processed yet" in ask().message
    shapes.update([hand], header)
    assert "no hand of side 1" in ask(Hand.SIDE_LEFT).message
    assert "k_sigma is -1.0" in ask(k_sigma=-1.0).message
    shapes.update([replace(hand, scale_source="none")], header)
    assert "not calibrated" in ask().message
    shapes.update([hand], header)
    monkeypatch.setattr(hand_shapes, "_LONGEST_AGE_S", 0.0)
    refused = ask()
    assert not refused.success
    assert "s old" in refused.message
    assert not refused.primitives


def test_cylinders_lie_along_their_bones(model, hand):
    capsules = HandCapsules(model).of(hand)
    primitives, poses = to_primitives(capsules)
    for bone, (primitive, placed) in enumerate(zip(primitives[:20], poses)):
        start, end = hand.joints_m[BONES[bone]]
        assert primitive.dimensions[0] == pytest.approx(np.linalg.norm(end - start))
        assert distances_m(xyz([placed.position])[0], start, end) < 1e-6
        ends = np.stack([start, end])
        assert distance_outside(ends, primitive, placed).max() < 1e-6


@pytest.mark.skipif(collision_objects.CollisionObject is not None, reason="moveit_msgs is installed")
def test_without_moveit_messages_there_is_no_topic_and_no_trouble(graph, model, hand, header):
    endpoints = Endpoints(graph.node)
    objects = CollisionObjects(endpoints, model)
    objects.publish([hand], header)
    assert not any("collision_objects" in name for name, _ in graph.node.get_topic_names_and_types())
    endpoints.destroy()


@pytest.mark.skipif(collision_objects.CollisionObject is None, reason="moveit_msgs is not installed here")
def test_hands_are_collision_objects_until_they_are_lost(graph, model, hand, header, monkeypatch):
    kind = collision_objects.CollisionObject
    monkeypatch.setattr(collision_objects, "_PERIOD_S", 0.0)
    graph.collect("collision_objects", kind)
    endpoints = Endpoints(graph.node)
    objects = CollisionObjects(endpoints, model)
    assert graph.wait_for(lambda: objects._publisher.get_subscription_count())
    name = f"hand_{hand.track_id}"
    for hands, operation in (
        ([hand], kind.ADD),
        ([replace(hand, state="predicted")], kind.ADD),
        ([], kind.REMOVE),
    ):
        graph.received["collision_objects"].clear()
        objects.publish(hands, Header(stamp=header.stamp, frame_id=header.frame_id))
        assert graph.wait_for(lambda: graph.received["collision_objects"])
        message = graph.received["collision_objects"][0]
        assert (message.id, message.operation, message.header) == (name, operation, header)
        assert len(message.primitives) == len(message.primitive_poses) == (41 if operation == kind.ADD else 0)
    endpoints.destroy()
