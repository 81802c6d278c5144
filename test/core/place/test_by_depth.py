"""Place, size and turn of a hand from depth: a rendered hand is found where it is, whatever else the sensor sees."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from hand_mesh_ros.core.config import SIZE_LIMITS
from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.geometry.rays import KEYPOINT_NOISE, ray_extent
from hand_mesh_ros.core.geometry.rigid import align
from hand_mesh_ros.core.geometry.rotations import rotation_about
from hand_mesh_ros.core.hand import model as hand_model
from hand_mesh_ros.core.hand.kinematics import pose
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.place import by_rays, skin_depth
from hand_mesh_ros.core.place.by_depth import Evidence, anchor
from hand_mesh_ros.core.place.user_size import PRIOR, PRIOR_REL_STD, Scale
from hand_mesh_ros.core.topology import FINGER_JOINTS
from hand_mesh_ros.core.types import Frame
from hand_mesh_ros.synthetic.render import render

K = np.array([[600.0, 0, 319.5], [0, 600, 239.5], [0, 0, 1]])
SIZE = (640, 480)
PLACE = np.array([0.03, 0.06, 0.55])
# The palm to the camera, the fingers up, leaning a little away.
RAISED = rotation_about(np.array([1.0, 0, 0]), np.array(0.3)) @ np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]])
BENT = np.deg2rad([[10, 15, 15, 15], [5, 20, 30, 15], [0, 25, 30, 15], [-3, 25, 35, 18], [-6, 30, 35, 20]])
WALL_M = 1.5
JOINT_STD_M, TURN_STD = 0.004, 0.12
CHI2_90 = 6.251  # of three dimensions


@pytest.fixture(scope="module")
def model() -> HandModel:
    return HandModel.load(default_models_dir() / hand_model.FILE_NAME)


@pytest.fixture(scope="module")
def shape(model) -> tuple[np.ndarray, np.ndarray]:
    """Joints (21, 3) and vertices (V, 3) in camera axes, wrist in the origin."""
    return tuple(points @ RAISED.T for points in pose(model, BENT))


@pytest.fixture(scope="module")
def seen(model, shape) -> Callable[[float], np.ndarray]:
    """Depth image of the hand at `PLACE`, of a size, before a wall."""

    def depth_m(size: float) -> np.ndarray:
        vertices = size * shape[1] + PLACE
        picture = render(vertices, model.faces, np.full_like(vertices, 0.5), K, SIZE, smooth_edges=False)
        return np.where(picture.depth_m > 0, picture.depth_m, WALL_M).astype(np.float32)

    return depth_m


def guess(model: HandModel, shape: tuple[np.ndarray, np.ndarray], rays: np.ndarray, turned: float = 0.0) -> Evidence:
    """The hand's true shape at average size, turned by so much, with these rays."""
    turn = rotation_about(np.array([0.6, 0.8, 0.0]), np.array(turned))
    joints, vertices = (points @ turn.T for points in shape)
    return Evidence(joints, vertices, model.faces, rays, np.ones(21), np.full(21, JOINT_STD_M), TURN_STD**2 * np.eye(3), gain=1.0)


def located(evidence: Evidence, depth_m: np.ndarray, scale: Scale = PRIOR) -> tuple[by_rays.Location, by_rays.Location]:
    """By rays alone, and with depth."""
    alone = by_rays.locate(evidence.joints_m, evidence.rays, evidence.confidence, evidence.joint_std_m, scale, evidence.gain)
    return alone, anchor(evidence, alone, Frame(np.zeros((*SIZE[::-1], 3), np.uint8), K, depth_m))


def rays_of(points: np.ndarray) -> np.ndarray:
    return points[:, :2] / points[:, 2:]


def placed(evidence: Evidence, location: by_rays.Location) -> np.ndarray:
    """Joints (21, 3) in the camera frame."""
    return location.scale.factor * evidence.joints_m @ location.turn.T + location.translation_m


@pytest.mark.parametrize("size", [0.85, 1.0, 1.15])
def test_place_size_and_turn_are_found(model, shape, seen, size):
    truth = size * shape[0] + PLACE
    evidence = guess(model, shape, rays_of(truth), turned=0.15)
    alone, anchored = located(evidence, seen(size))
    joints = placed(evidence, anchored)
    assert anchored.scale.source == "depth"
    assert np.linalg.norm(joints - truth, axis=-1).mean() < 0.006
    assert np.linalg.norm(joints.mean(0) - truth.mean(0)) < 0.003
    # What was known of the size draws a little towards the average.
    assert anchored.scale.factor == pytest.approx(size, rel=0.06)
    assert anchored.size_seen.log_size == pytest.approx(np.log(size), abs=0.025)
    assert anchored.scale.rel_std < PRIOR_REL_STD
    rotation, _, _ = align(joints, truth)
    assert np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1)) < 0.08
    assert np.linalg.norm(placed(evidence, alone) - truth, axis=-1).mean() > 0.01
    assert anchored.anchored.sum() >= 12


def box_before(depth_m: np.ndarray, truth: np.ndarray, distance_m: float, joints: np.ndarray) -> np.ndarray:
    """The same with something flat at a distance that hides these joints and the skin around them, 14 px or 13 mm."""
    pixels = project(truth[joints], K)
    (left, top), (right, bottom) = (np.round(corner).astype(int) for corner in (pixels.min(0) - 14, pixels.max(0) + 15))
    changed = depth_m.copy()
    changed[top:bottom, left:right] = distance_m
    return changed


def test_an_object_before_the_hand_does_not_pull_it(model, shape, seen):
    truth = shape[0] + PLACE
    evidence = guess(model, shape, rays_of(truth))
    for distance_m in (0.35, 0.47):
        hidden = box_before(seen(1.0), truth, distance_m, FINGER_JOINTS[3:, :3].ravel())
        _, anchored = located(evidence, hidden)
        assert np.linalg.norm(placed(evidence, anchored).mean(0) - truth.mean(0)) < 0.006
        assert not anchored.anchored[FINGER_JOINTS[4, :2]].any()


def test_a_hand_that_the_rays_put_half_as_far_again_is_found(model, shape, seen):
    truth = shape[0] + PLACE
    rays = rays_of(truth)
    evidence = guess(model, shape, rays.mean(0) + 0.67 * (rays - rays.mean(0)))
    alone, anchored = located(evidence, seen(1.0))
    assert placed(evidence, alone)[:, 2].mean() > 1.4 * truth[:, 2].mean()
    assert anchored.scale.source == "depth"
    assert abs(placed(evidence, anchored)[:, 2].mean() - truth[:, 2].mean()) < 0.015


def test_a_wall_behind_fingers_that_are_elsewhere_does_not_pull_the_hand(model, shape, seen):
    truth = shape[0] + PLACE
    gone = seen(1.0)
    pixels = np.round(project(truth[FINGER_JOINTS[1:3, 1:].ravel()], K)).astype(int)
    for x, y in pixels:
        gone[y - 12 : y + 13, x - 12 : x + 13] = WALL_M
    evidence = guess(model, shape, rays_of(truth))
    _, anchored = located(evidence, gone)
    assert np.linalg.norm(placed(evidence, anchored).mean(0) - truth.mean(0)) < 0.006
    assert not anchored.anchored[FINGER_JOINTS[1, 2:]].any()


def test_holes_and_flying_pixels_do_not_matter(model, shape, seen):
    rng, truth = np.random.default_rng(3), 1.05 * shape[0] + PLACE
    spoilt = seen(1.05)
    bad = rng.random(spoilt.shape)
    for value, low in ((0.0, 0.0), (np.nan, 0.1), (np.inf, 0.12), (0.02, 0.14), (9.0, 0.16)):
        spoilt[(bad >= low) & (bad < low + 0.02 + 0.08 * (low == 0))] = value
    evidence = guess(model, shape, rays_of(truth))
    _, anchored = located(evidence, spoilt)
    assert np.linalg.norm(placed(evidence, anchored) - truth, axis=-1).mean() < 0.006


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, 0.03, 3.0, 0.1])
def test_depth_that_no_hand_explains_changes_nothing(model, shape, value):
    evidence = guess(model, shape, rays_of(shape[0] + PLACE))
    alone, anchored = located(evidence, np.full(SIZE[::-1], value, np.float32))
    assert anchored is alone


@pytest.mark.parametrize("size", [0.3, 2.2])
def test_a_hand_of_no_human_size_changes_nothing(model, shape, seen, size):
    evidence = guess(model, shape, rays_of(size * shape[0] + PLACE))
    alone, anchored = located(evidence, seen(size), Scale(SIZE_LIMITS[0] if size < 1 else SIZE_LIMITS[1], 0.3, "prior"))
    assert anchored is alone


def test_depth_at_a_fingertip_alone_changes_nothing(model, shape, seen):
    truth, full = shape[0] + PLACE, seen(1.0)
    x, y = np.round(project(truth[8], K)).astype(int)
    little = np.full_like(full, np.nan)
    little[y - 6 : y + 7, x - 6 : x + 7] = full[y - 6 : y + 7, x - 6 : x + 7]
    alone, anchored = located(guess(model, shape, rays_of(truth)), little)
    assert anchored is alone


def test_a_known_size_stays_and_depth_places_the_hand(model, shape, seen):
    truth = 1.1 * shape[0] + PLACE
    evidence = guess(model, shape, rays_of(truth))
    _, anchored = located(evidence, seen(1.1), Scale(1.1, 0.01, "user"))
    assert anchored.scale.factor == pytest.approx(1.1, rel=0.005)
    assert anchored.scale.rel_std <= 0.01
    assert np.linalg.norm(placed(evidence, anchored) - truth, axis=-1).mean() < 0.004


def test_the_stated_ellipsoids_hold_the_errors(model, shape, seen):
    rng, inside = np.random.default_rng(4), []
    for _ in range(40):
        size = float(np.exp(PRIOR_REL_STD * rng.standard_normal() * 0.8))
        truth = size * shape[0] + PLACE
        rays = rays_of(truth)
        evidence = guess(
            model, shape, rays + rng.normal(0, KEYPOINT_NOISE * ray_extent(rays), rays.shape), rng.normal(0, TURN_STD)
        )
        # The skin of real estimates is off in patches: here by a bend of the whole.
        bend = rng.normal(0, 0.03, 3)
        evidence = replace(
            evidence, vertices_m=evidence.vertices_m + np.sin(evidence.vertices_m @ rng.normal(0, 40, (3, 1))) * bend * 0.15
        )
        _, anchored = located(evidence, seen(size))
        error = placed(evidence, anchored) - truth
        stated = by_rays.place_covariances(placed(evidence, anchored) - placed(evidence, anchored).mean(0), anchored.covariance)
        stated = stated + JOINT_STD_M**2 * np.eye(3)
        inside.append(np.einsum("jr,jr->j", error, np.linalg.solve(stated, error[..., None])[..., 0]) < CHI2_90)
    assert np.mean(inside) > 0.85


def test_a_mirrored_hand_is_found_at_the_mirrored_place(model, shape, seen):
    truth = shape[0] + PLACE
    right, left = guess(model, shape, rays_of(truth), 0.1), guess(model, shape, rays_of(truth), 0.1)
    left = replace(
        left, joints_m=mirror_points(left.joints_m), vertices_m=mirror_points(left.vertices_m), rays=left.rays * (-1, 1)
    )
    depth_m = seen(1.0)
    expected = placed(right, located(right, depth_m)[1])
    mirrored = placed(left, located(left, np.ascontiguousarray(depth_m[:, ::-1]))[1])
    np.testing.assert_allclose(mirrored, mirror_points(expected), atol=1e-3)


def test_only_the_visible_skin_is_compared(model, seen):
    """Of a fist seen from its palm the knuckles, the back and what fingers hide are left out."""
    fist = np.deg2rad([[12, 26, 40, 46], [0, 75, 95, 55], [0, 78, 98, 58], [0, 78, 98, 58], [0, 75, 92, 52]])
    vertices = pose(model, fist)[1] @ RAISED.T + PLACE
    picture = render(vertices, model.faces, np.full_like(vertices, 0.5), K, SIZE, smooth_edges=False)
    frame = Frame(picture.rgb, K, np.where(picture.depth_m > 0, picture.depth_m, WALL_M).astype(np.float32))
    found = skin_depth.measure(vertices, skin_depth.vertex_normals(vertices, model.faces), frame)
    assert 40 < len(found.vertex) <= found.n_visible < 0.4 * len(vertices)
    apart = np.abs(found.depth_m - vertices[found.vertex, 2])
    assert np.mean(apart < 0.002) > 0.9
    # Skin that lies just under another finger may be taken for visible.
    assert apart.max() < 0.015
    np.testing.assert_allclose(found.ray[:, :2], rays_of(vertices[found.vertex]), atol=1e-9)
    beside = np.array([0.5, 0, 0])
    shifted = skin_depth.measure(vertices + beside, skin_depth.vertex_normals(vertices, model.faces), frame)
    assert len(shifted.vertex) == 0
