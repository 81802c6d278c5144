"""Rendered scenes: their truth lies where the picture shows the hand, and tests see scenes that training does not."""

from collections.abc import Callable

import numpy as np
import pytest

from hand_mesh_ros.core.geometry import camera
from hand_mesh_ros.core.hand.model import bone_lengths
from hand_mesh_ros.synthetic import appearance
from models_train.data import scenes
from models_train.data.scenes import Scene, SceneMaker
from models_train.hands.sample import shipped_hand

HELD_OUT_TONES = ((0.25, 0.35), (0.7, 0.8))


def make(seed: int, n: int, held_out: bool = False) -> list[Scene]:
    return SceneMaker(np.random.default_rng(seed), held_out, n_skins=2, n_rooms=2).scenes(n)


@pytest.fixture(scope="module")
def drawn() -> list[Scene]:
    return make(0, 24)


def depth_before(scene: Scene, points_m: np.ndarray) -> np.ndarray:
    """How far the seen surface lies before points (N, 3), metres; NaN where they lie outside the picture or on background."""
    width, height = scenes.SIZE_PX
    u, v = np.round(camera.project(points_m, scene.camera_matrix)).astype(int).T
    within = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    seen = np.where(within, scene.depth_m[np.clip(v, 0, height - 1), np.clip(u, 0, width - 1)], 0)
    return np.where(seen > 0, points_m[:, 2] - seen, np.nan)


def test_records_have_their_shapes(drawn):
    width, height = scenes.SIZE_PX
    hand = shipped_hand()
    for scene in drawn:
        assert (scene.rgb.shape, scene.rgb.dtype) == ((height, width, 3), np.uint8)
        assert (scene.depth_m.shape, scene.depth_m.dtype) == ((height, width), np.float32)
        assert scene.joints_m.shape == (21, 3)
        assert scene.vertices_m.shape == hand.template_m.shape
        assert bone_lengths(scene.joints_m).sum() == pytest.approx(hand.bone_lengths_m.sum(), rel=1e-5)


def test_joints_lie_in_the_hand_that_the_picture_shows(drawn):
    before = np.concatenate([depth_before(scene, scene.joints_m) for scene in drawn])
    assert np.isnan(before).mean() < 0.02
    before = before[~np.isnan(before)]
    # A joint is under the skin: the surface is seen in front of it, a finger's thickness away unless something hides it.
    assert np.quantile(before, 0.02) > 0
    assert 0.005 < np.median(before) < 0.02


def test_the_surface_lies_where_the_picture_shows_it(drawn):
    for scene in drawn:
        before = depth_before(scene, scene.vertices_m)
        seen = np.abs(before) < 0.002
        # About half of a closed surface faces the camera, less where it is covered or at a slant.
        assert 0.05 < seen.mean() < 0.7
    share = np.mean([np.mean(np.abs(depth_before(scene, scene.vertices_m)) < 0.002) for scene in drawn])
    assert share > 0.2


def test_surface_and_skeleton_are_in_one_frame(drawn):
    for scene in drawn:
        regressed = shipped_hand().joint_regressor @ scene.vertices_m
        assert 1000 * np.linalg.norm(regressed - scene.joints_m, axis=1).mean() < 2


def test_hands_fill_a_good_part_of_the_picture_at_the_stated_distances(drawn):
    for scene in drawn:
        pixels = camera.project(scene.joints_m, scene.camera_matrix)
        assert 0.25 < np.ptp(pixels, axis=0).max() / scenes.SIZE_PX[0] < 1.0
        assert 0.15 < scene.joints_m[:, 2].mean() < 1.4


def test_scenes_depend_on_the_seed_alone():
    (first,), (again,), (other,) = (make(seed, 1) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.rgb, again.rgb)
    np.testing.assert_array_equal(first.joints_m, again.joints_m)
    assert np.abs(first.joints_m - other.joints_m).max() > 0.01


def drawn_for(held_out: bool) -> tuple[list[float], set[str]]:
    """Tones of skin and kinds of background that a stock is made of."""
    tones: list[float] = []
    backgrounds: set[str] = set()

    def noting(name: str, note: Callable[[tuple], None]) -> None:
        draw = getattr(appearance, name)
        patch.setattr(appearance, name, lambda *args: (note(args), draw(*args))[1])

    with pytest.MonkeyPatch.context() as patch:
        noting("skin_colours", lambda args: tones.append(args[2]))
        for name in ("clouds", "room"):
            noting(name, lambda args, name=name: backgrounds.add(name))
        SceneMaker(np.random.default_rng(0), held_out, n_skins=12, n_rooms=1)
    return tones, backgrounds


@pytest.mark.parametrize(("held_out", "background"), [(False, "room"), (True, "clouds")])
def test_held_out_scenes_have_other_skins_and_backgrounds(held_out, background):
    tones, backgrounds = drawn_for(held_out)
    assert len(set(tones)) == 12
    assert {any(low <= tone <= high for low, high in HELD_OUT_TONES) for tone in tones} == {held_out}
    assert backgrounds == {background}
