"""Stored views are what was written, are drawn as stated, and the writer goes on where it stopped."""

from pathlib import Path

import numpy as np
import pytest
from stored_hands import write_shard

from hand_mesh_ros.core.cascade.view import Cues
from hand_mesh_ros.core.geometry import camera
from models_train.data import detected
from models_train.data.shards import StoredViews

N = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("shards")


@pytest.fixture(scope="module")
def arrays(folder) -> dict[str, np.ndarray]:
    parts = [write_shard(folder, "train", N // 2, seed) for seed in (0, 1)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@pytest.fixture(scope="module")
def stored(folder, arrays) -> StoredViews:
    return StoredViews(folder, "train", with_surface=True)


def affine_between(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """What is left, (n,), of targets (n, 21, 2) after the best affine map of the sources of each."""
    design = np.concatenate([source, np.ones((*source.shape[:-1], 1))], -1)
    return np.abs(design @ (np.linalg.pinv(design) @ target) - target).max((1, 2))


def test_a_folder_without_shards_is_refused_with_advice(tmp_path, folder, arrays):
    with pytest.raises(ValueError, match=r"no train_\*\.npz .* models_train\.data\.detected"):
        StoredViews(tmp_path, "train")
    with pytest.raises(ValueError, match="no held_out_"):
        StoredViews(folder, "held_out")


def test_a_shard_of_an_older_version_is_refused_with_advice(tmp_path):
    arrays = write_shard(tmp_path, "train", 2)
    del arrays["pooled_features"]
    np.savez(tmp_path / "train_0_0000.npz", **arrays)
    with pytest.raises(ValueError, match=r"train_0_0000\.npz has no pooled_features.*make the views again"):
        StoredViews(tmp_path, "train")


def test_views_are_read_as_they_were_written_shard_after_shard(stored, arrays):
    assert len(stored) == N
    rows, given = np.array([N - 1, 0, 3]), np.array([[1.0, 0, 1], [1, 1, 1], [0, 0, 0]])
    seen, features = stored.pick(rows, given)
    for name in ("rays", "depth", "confidence", "world_m", "in_crop"):
        np.testing.assert_array_equal(getattr(seen.cues, name), arrays[name][rows])
    np.testing.assert_array_equal(seen.cues.given, given)
    np.testing.assert_array_equal(seen.joints_m, arrays["joints_m"][rows])
    np.testing.assert_array_equal(features, arrays["features"][rows].astype(np.float32))
    np.testing.assert_array_equal(stored.pooled_features(rows), arrays["pooled_features"][rows].astype(np.float32))
    np.testing.assert_array_equal(stored.vertices_m(rows), arrays["vertices_m"][rows].astype(np.float32))
    assert features.dtype == np.float32


def test_a_view_with_typical_errors_is_drawn_half_as_often_as_one_without(tmp_path):
    arrays = write_shard(tmp_path, "train", 30)
    truth = arrays["joints_m"][..., :2] / arrays["joints_m"][..., 2:]
    extent = np.sqrt(((truth - truth.mean(1, keepdims=True)) ** 2).sum(-1).mean(1))
    error = np.repeat([0.0, 0.18, 0.36], 10)  # relative to the extent
    arrays["rays"] = truth + (error * extent)[:, None, None] * np.array([0.6, 0.8])
    np.savez(tmp_path / "train_0_0000.npz", **arrays)
    rows = StoredViews(tmp_path, "train").random_rows(np.random.default_rng(0), 20_000)
    exact, typical, astray = np.bincount(rows, minlength=30).reshape(3, 10).sum(1)
    assert typical / exact == pytest.approx(1 / 2, abs=0.03)
    assert astray / exact == pytest.approx(1 / 17, abs=0.015)


def test_all_views_are_within_reach_and_cues_withheld_as_often_as_stated(stored):
    rng = np.random.default_rng(0)
    assert set(np.unique(stored.random_rows(rng, 20_000))) == set(range(N))
    assert 1 - stored.random_given(rng, 20_000).mean(0) == pytest.approx([0.1, 0.2, 0.25], abs=0.01)


def test_half_of_the_drawn_views_have_modelled_cues_and_all_the_places_of_their_own_rays(stored, arrays):
    seen, features = stored.sample(np.random.default_rng(0), 400)
    of = {tuple(np.round(joints[9], 5)): row for row, joints in enumerate(arrays["joints_m"])}
    rows = np.array([of[tuple(np.round(joints[9], 5))] for joints in seen.joints_m])
    own = np.all(seen.cues.rays == arrays["rays"][rows], axis=(1, 2))
    assert own.mean() == pytest.approx(0.5, abs=0.08)
    for name in ("depth", "world_m", "confidence", "in_crop"):
        same = np.all(
            np.isclose(getattr(seen.cues, name), arrays[name][rows], atol=1e-6), axis=tuple(range(1, arrays[name].ndim))
        )
        np.testing.assert_array_equal(same, own, err_msg=name)
    # The image stays, so the places of other rays in it follow by the affine map of the crop: the one of the stored cues.
    np.testing.assert_array_equal(features, arrays["features"][rows].astype(np.float32))
    both = [
        np.concatenate(pair, 1) for pair in ((arrays["rays"][rows], seen.cues.rays), (arrays["in_crop"][rows], seen.cues.in_crop))
    ]
    assert affine_between(*both).max() < 1e-4


def test_draws_depend_on_the_seed_alone(stored):
    first, again, other = (stored.sample(np.random.default_rng(seed), 8)[0] for seed in (7, 7, 8))
    for name, value in vars(first.cues).items():
        np.testing.assert_array_equal(value, getattr(again.cues, name))
    assert np.abs(first.joints_m - other.joints_m).max() > 0.01


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """A shard of three rendered views by the real detector."""
    out = tmp_path_factory.mktemp("detected")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detected, "SHARD_SIZE", 3)
        run_command(patch, out)
    return out


def run_command(patch: pytest.MonkeyPatch, out: Path) -> None:
    patch.setattr("sys.argv", ["detected", "--out", str(out), "--count", "3", "--seed", "4"])
    detected.main()


def test_what_the_real_detector_saw_is_near_the_truth(written):
    seen, features = StoredViews(written, "train").pick(np.arange(3), np.ones((3, 3)))
    assert features.shape == (3, 192, 7, 7)
    assert isinstance(seen.cues, Cues)
    truth = camera.project(seen.joints_m, np.eye(3))
    extent = np.sqrt(((truth - truth.mean(1, keepdims=True)) ** 2).sum(-1).mean(1))
    assert np.median(np.linalg.norm(seen.cues.rays - truth, axis=-1).mean(1) / extent) < 0.4
    # Image features lie in a square crop around the hand: an affine map of the rays, all within reach of the crop.
    assert affine_between(seen.cues.rays, seen.cues.in_crop).max() < 1e-4
    assert np.abs(seen.cues.in_crop).max() < 1.5


def test_stored_surfaces_fit_their_skeletons(written):
    views = StoredViews(written, "train", with_surface=True)
    seen, _ = views.pick(np.arange(3), np.ones((3, 3)))
    relative = seen.joints_m - seen.joints_m[:, :1]
    nearest = np.linalg.norm(views.vertices_m(np.arange(3))[:, None] - relative[:, :, None], axis=-1).min(-1)
    assert 0.001 < nearest.mean() < 0.015  # joints are under the skin


def test_an_interrupted_run_keeps_the_shards_that_it_has(written, monkeypatch):
    monkeypatch.setattr(detected, "SHARD_SIZE", 3)
    (path,) = written.glob("*")
    assert path.name == "train_4_0000.npz"
    before = path.stat().st_mtime_ns
    run_command(monkeypatch, written)
    assert path.stat().st_mtime_ns == before


def test_the_same_seed_writes_the_same_views(written):
    again = next(detected.records(4, 0, held_out=False))
    with np.load(written / "train_4_0000.npz") as stored:
        for name, value in again.items():
            np.testing.assert_allclose(value, stored[name][0], atol=1e-4, err_msg=name)
