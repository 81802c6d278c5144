"""Views: the modelled detector errs as much as it says, and what the models see depends on nothing that should not matter."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hand_mesh_ros.core.cascade.view import CONDITION_SIZE, Cues, look_at_hand
from hand_mesh_ros.core.geometry.camera import sight_from_camera
from hand_mesh_ros.core.hand.model import bone_lengths
from hand_mesh_ros.core.hand.wrist_frame import wrist_rotation
from hand_mesh_ros.core.topology import MIDDLE_MCP, N_JOINTS, WRIST
from models_train.data import views
from models_train.hands.sample import sample_joints, shipped_hand

DEPTHS = slice(3 * N_JOINTS + 1, 4 * N_JOINTS + 1)
WORLD = slice(4 * N_JOINTS + 1, 7 * N_JOINTS + 1)
IN_CROP = slice(7 * N_JOINTS + 1, 9 * N_JOINTS + 1)
GIVEN = slice(9 * N_JOINTS + 1, None)


@pytest.fixture(scope="module")
def sampled() -> views.Views:
    return views.sample_views(np.random.default_rng(0), 3000)


def in_sight(joints_m: np.ndarray) -> np.ndarray:
    """Skeletons (n, 21, 3) from the camera's axes to those of the line of sight, wrist in the origin."""
    sight = sight_from_camera((joints_m[..., :2] / joints_m[..., 2:]).mean(1))
    return (joints_m - joints_m[:, :1]) @ np.swapaxes(sight, -1, -2)


def exact_cues(joints_m: np.ndarray) -> Cues:
    """What a detector without errors would say of skeletons (n, 21, 3); depths are along the ray to the hand."""
    middle = joints_m.mean(1)
    distance = np.linalg.norm(middle, axis=-1)[:, None]
    along = np.einsum("nji,ni->nj", joints_m, middle / distance)
    place = np.tile(np.linspace(-1, 1, 2 * N_JOINTS).reshape(N_JOINTS, 2), (len(joints_m), 1, 1))
    return Cues(
        rays=joints_m[..., :2] / joints_m[..., 2:],
        confidence=np.full(joints_m.shape[:2], 0.9),
        depth=(along - along[:, :1]) / distance,
        world_m=in_sight(joints_m),
        in_crop=place,
        given=np.ones((len(joints_m), 3)),
    )


def in_front(distance_m: float, n: int = 20) -> np.ndarray:
    """Skeletons (n, 21, 3) on the camera's axis whose palms are not seen end on, where no direction would be up."""
    rng = np.random.default_rng(0)
    across = Rotation.from_euler("x", 90, degrees=True) * Rotation.from_rotvec(rng.uniform(-0.5, 0.5, (n, 3)))
    joints_m = sample_joints(rng, n)
    return (joints_m - joints_m.mean(1, keepdims=True)) @ across.as_matrix() + [0.0, 0.0, distance_m]


def extents(rays: np.ndarray) -> np.ndarray:
    return np.sqrt(((rays - rays.mean(1, keepdims=True)) ** 2).sum(-1).mean(1))


def test_shapes_and_size(sampled):
    assert sampled.joints_m.shape == (3000, N_JOINTS, 3)
    assert look_at_hand(sampled.cues).condition.shape == (3000, CONDITION_SIZE)
    assert look_at_hand(sampled.cues).condition.dtype == np.float32
    assert np.isfinite(look_at_hand(sampled.cues).condition).all()
    size = bone_lengths(sampled.joints_m).sum(1) / shipped_hand().bone_lengths_m.sum()
    assert size.mean() == pytest.approx(1, abs=0.03)  # a little more by where joints are defined


def test_hands_are_in_front_of_the_camera_at_the_stated_distances(sampled):
    middle = sampled.joints_m.mean(1)
    distance = np.linalg.norm(middle, axis=1)
    assert distance.min() > 0.19
    assert 2.4 < distance.max() < 2.61
    off_axis = np.abs(middle[:, :2] / middle[:, 2:]).max()
    assert np.tan(np.deg2rad(35)) < off_axis < np.tan(np.deg2rad(42))


def facing(joints_m: np.ndarray) -> np.ndarray:
    """Cosine, (n,), between the palm's normal of skeletons (n, 21, 3) in the wrist frame's axes and the camera's axis."""
    return -wrist_rotation(joints_m, "right")[:, 2, 0]


def test_most_natural_views_show_the_palm_or_the_back_and_the_others_anything():
    rotations = views.natural_rotations(np.random.default_rng(0), 20_000)
    np.testing.assert_allclose(rotations @ np.swapaxes(rotations, -1, -2), np.tile(np.eye(3), (20_000, 1, 1)), atol=1e-9)
    cosine = -rotations[:, 2, 0]  # of the palm's normal and the way to the camera
    assert (cosine > 0).mean() == pytest.approx(0.5, abs=0.02)
    # 0.45 rad about either axis across the line of sight: half of the shown ones within 0.53 rad.
    within = (np.abs(cosine) > np.cos(0.45 * np.sqrt(2 * np.log(2)))).mean()
    assert within == pytest.approx(0.85 * 0.5 + 0.15 * (1 - np.cos(0.53)), abs=0.02)
    up = rotations[:, :2, 2]
    assert np.abs(up.mean(0)).max() < 0.02  # rolled any way


def test_the_natural_share_decides_over_views_too():
    natural, anyhow = (views.sample_views(np.random.default_rng(0), 2000, share).joints_m for share in (0.6, 0.0))
    # Uniform on a sphere, the absolute cosine is uniform.
    assert np.abs(facing(anyhow)).mean() == pytest.approx(0.5, abs=0.03)
    assert np.abs(facing(natural)).mean() > 0.7


def test_keypoints_err_by_the_stated_share_of_the_hand(sampled):
    truth = sampled.joints_m[..., :2] / sampled.joints_m[..., 2:]
    error = (sampled.cues.rays - truth) / extents(truth)[:, None, None]
    of_hands = np.sqrt((error**2).mean((1, 2)))
    assert np.median(of_hands) == pytest.approx(0.06, rel=0.2)
    assert np.quantile(of_hands, 0.9) > 2 * np.median(of_hands) * 0.9  # some are much harder than others
    assert np.abs(error.mean((0, 1))).max() < 0.003


def test_depths_err_by_the_stated_19_mm(sampled):
    distance_m = np.linalg.norm(sampled.joints_m.mean(1), axis=-1)
    error = sampled.cues.depth * distance_m[:, None] - in_sight(sampled.joints_m)[..., 2]
    error -= error.mean(1, keepdims=True)
    assert 1000 * np.sqrt((error**2).mean()) == pytest.approx(19, abs=2)


def test_world_landmarks_are_of_smaller_hands_and_share_half_of_their_errors_with_the_keypoints(sampled):
    joints_m = sampled.joints_m
    rays, truth = sampled.cues.rays, joints_m[..., :2] / joints_m[..., 2:]
    true_m, told_m = (points - points.mean(1, keepdims=True) for points in (in_sight(joints_m), sampled.cues.world_m))
    size = (told_m * true_m).sum((1, 2)) / (true_m**2).sum((1, 2))
    assert np.quantile(size, [0.1, 0.5, 0.9]) == pytest.approx([0.6, 0.8, 1.0], abs=0.06)
    distance_m = np.linalg.norm(joints_m.mean(1), axis=-1)[:, None, None]
    errors = [rays - truth, (told_m / size[:, None, None] - true_m)[..., :2] / distance_m]
    one, other = ((error - error.mean(1, keepdims=True)) / extents(truth)[:, None, None] for error in errors)
    assert 0.3 < np.corrcoef(one.ravel(), other.ravel())[0, 1] < 0.8


def test_depths_are_withheld_as_often_as_stated_and_the_other_cues_always(sampled):
    withheld = 1 - sampled.cues.given.mean(0)
    assert withheld == pytest.approx([0.15, 1.0, 1.0], abs=0.03)


def test_views_depend_on_the_seed_alone():
    first, again, other = (look_at_hand(views.sample_views(np.random.default_rng(s), 5).cues).condition for s in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


def test_the_virtual_camera_sees_the_hand_centred_upright_and_of_unit_size():
    view = look_at_hand(exact_cues(in_front(0.5)))
    rays = view.condition[:, : 2 * N_JOINTS].reshape(-1, N_JOINTS, 2)
    assert np.sqrt((rays**2).sum(-1).mean(-1)) == pytest.approx(1, abs=1e-5)
    assert np.abs(rays.mean(1)).max() < 0.1  # not 0: perspective
    up = rays[:, MIDDLE_MCP] - rays[:, WRIST]
    assert np.all(up[:, 1] < 0)
    assert np.abs(up[:, 0] / up[:, 1]).max() < 0.1
    rotation = view.virtual_from_camera
    np.testing.assert_allclose(rotation @ np.swapaxes(rotation, -1, -2), np.tile(np.eye(3), (20, 1, 1)), atol=1e-9)


def test_rolling_the_camera_changes_nothing():
    joints_m = in_front(0.4)
    before = look_at_hand(exact_cues(joints_m))
    roll = Rotation.from_euler("z", 1.2).as_matrix()
    after = look_at_hand(exact_cues(joints_m @ roll.T))
    np.testing.assert_allclose(after.condition, before.condition, atol=1e-5)
    np.testing.assert_allclose(after.virtual_from_camera @ roll, before.virtual_from_camera, atol=1e-6)


@pytest.mark.parametrize("turn", [(0.3, 0.0, 0.0), (0.0, -0.4, 0.0), (0.3, 0.2, 2.0)])
@pytest.mark.parametrize(("distance_m", "tolerance"), [(0.5, 0.08), (50.0, 8e-4)])
def test_turning_the_camera_changes_nothing_but_the_perspective(turn, distance_m, tolerance):
    joints_m = in_front(distance_m)
    rotation = Rotation.from_rotvec(turn).as_matrix()
    before, after = (look_at_hand(exact_cues(points)).condition for points in (joints_m, joints_m @ rotation.T))
    # What is left falls with the distance: the middle of the rays, where the virtual camera looks, is not quite the same point.
    np.testing.assert_allclose(after, before, atol=tolerance)


def test_scaling_the_scene_changes_nothing_but_the_metric_landmarks():
    joints_m = in_front(0.4)
    cues = exact_cues(joints_m)
    scaled = replace(exact_cues(3 * joints_m), world_m=cues.world_m)
    np.testing.assert_allclose(look_at_hand(scaled).condition, look_at_hand(cues).condition, atol=1e-5)


def test_a_hand_twice_as_far_away_looks_the_same_but_half_as_large():
    near, far = (look_at_hand(exact_cues(in_front(distance_m))).condition for distance_m in (50.0, 100.0))
    difference = far - near
    np.testing.assert_allclose(difference[:, 2 * N_JOINTS], -np.log(2), atol=1e-3)
    difference[:, 2 * N_JOINTS] = 0
    np.testing.assert_allclose(difference, 0, atol=5e-3)


def test_the_origin_of_metric_landmarks_and_depths_does_not_matter():
    cues = exact_cues(in_front(0.4))
    moved = replace(cues, world_m=cues.world_m + np.array([0.1, -0.2, 0.3]), depth=cues.depth + 0.7)
    np.testing.assert_allclose(look_at_hand(moved).condition, look_at_hand(cues).condition, atol=1e-5)


@pytest.mark.parametrize(("place", "name", "where"), [(0, "depth", DEPTHS), (1, "world_m", WORLD), (2, "in_crop", IN_CROP)])
def test_a_withheld_cue_does_not_matter(place, name, where):
    cues = exact_cues(in_front(0.4))
    other = replace(cues, **{name: np.random.default_rng(1).normal(size=getattr(cues, name).shape)})
    given = np.ones((20, 3))
    assert np.abs(look_at_hand(cues).condition - look_at_hand(other).condition)[:, where].max() > 0.1
    given[:, place] = 0
    withheld = [look_at_hand(replace(one, given=given)).condition for one in (cues, other)]
    np.testing.assert_array_equal(*withheld)
    np.testing.assert_array_equal(withheld[0][:, where], 0)
    np.testing.assert_array_equal(withheld[0][:, GIVEN], given)


def test_hands_are_seen_alike_alone_and_among_others():
    cues = exact_cues(in_front(0.4))
    alone = Cues(**{name: value[3] for name, value in vars(cues).items()})
    np.testing.assert_allclose(look_at_hand(alone).condition, look_at_hand(cues).condition[3], atol=1e-6)
