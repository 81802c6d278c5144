"""The scores equal the numbers of the official scorers on stored vectors (official_scores.json names the sources)."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hand_mesh_ros.core.geometry.mirror import mirror_points
from models_train.datasets import scores
from models_train.datasets.formats.mano import ORDER
from models_train.datasets.scores import OFFICIAL, PROPER, Surfaces

STORED = json.loads(Path(__file__).with_name("official_scores.json").read_text())
VECTORS = {name: np.array(points) for name, points in STORED["vectors"].items()}
# The official files write centimetres.
MM = {"xyz_mean3d": "MPJPE [mm]", "mesh_mean3d": "MPVPE [mm]", "mesh_al_mean3d": f"PA-MPVPE {OFFICIAL} [mm]"}
UNITLESS = {
    "xyz_auc3d": "AUC MPJPE",
    "mesh_auc3d": "AUC MPVPE",
    "mesh_al_auc3d": f"AUC PA-MPVPE {OFFICIAL}",
    "f_score_5": "F@5",
    "f_score_15": "F@15",
    "f_al_score_5": f"F@5 aligned {OFFICIAL}",
    "f_al_score_15": f"F@15 aligned {OFFICIAL}",
}
FREIHAND = {"xyz_al_mean3d": f"PA-MPJPE {OFFICIAL} [mm]"}, {"xyz_al_auc3d": f"AUC PA-MPJPE {OFFICIAL}"}
ALIGNED = "MPJPE scale and translation aligned"
HO3D = (
    {"xyz_procrustes_al_mean3d": f"PA-MPJPE {OFFICIAL} [mm]", "xyz_scale_trans_al_mean3d": f"{ALIGNED} [mm]"},
    {"xyz_procrustes_al_auc3d": f"AUC PA-MPJPE {OFFICIAL}", "xyz_scale_trans_al_auc3d": f"AUC {ALIGNED}"},
)


def surfaces(vertices: str, reorder: bool) -> tuple[Surfaces, Surfaces]:
    order = ORDER if reorder else np.arange(21)
    predicted = Surfaces(VECTORS["predicted_joints_m"][:, order], VECTORS[vertices])
    return predicted, Surfaces(VECTORS["true_joints_m"][:, order], VECTORS["true_vertices_m"])


def assert_equal_to_official(found: dict[str, float], official: dict[str, float], names: tuple[dict, dict]) -> None:
    expected = {name: 10 * official[key] for key, name in (MM | names[0]).items()}
    expected |= {name: official[key] for key, name in (UNITLESS | names[1]).items()}
    # Both scorers write negative numbers for what they cannot compute. All others have six decimals.
    assert {name for name, value in expected.items() if value < 0} == {name for name in expected if np.isnan(found[name])}
    for name, value in expected.items():
        if value >= 0:
            assert found[name] == pytest.approx(value, abs=1.1e-5), name


@pytest.mark.parametrize(("case", "vertices"), [("same mesh", "predicted_vertices_m"), ("other mesh", "other_vertices_m")])
def test_freihand_scores_equal_the_official_ones(case, vertices):
    found = scores.freihand_scores(*surfaces(vertices, reorder=False))
    assert_equal_to_official(found, STORED["freihand"][case], FREIHAND)


@pytest.mark.parametrize(("case", "vertices"), [("same mesh", "predicted_vertices_m"), ("other mesh", "other_vertices_m")])
def test_ho3d_scores_equal_the_official_ones(case, vertices):
    """The official scorer takes the joints in the order of MANO."""
    found = scores.ho3d_scores(*surfaces(vertices, reorder=True))
    assert_equal_to_official(found, STORED["ho3d"][case], HO3D)


def test_the_official_alignment_hides_a_mirrored_hand_and_the_other_one_does_not():
    truth = Surfaces(VECTORS["true_joints_m"], VECTORS["true_vertices_m"])
    mirrored = Surfaces(mirror_points(truth.joints_m), [mirror_points(vertices) for vertices in truth.vertices_m])
    found = scores.freihand_scores(mirrored, truth)
    assert found[f"PA-MPJPE {OFFICIAL} [mm]"] == pytest.approx(0, abs=1e-3)
    assert found[f"PA-MPVPE {OFFICIAL} [mm]"] == pytest.approx(0, abs=1e-3)
    assert found[f"PA-MPJPE {PROPER} [mm]"] > 20
    assert found[f"PA-MPVPE {PROPER} [mm]"] > 20
    assert found[f"F@5 aligned {PROPER}"] < 0.5 < found[f"F@5 aligned {OFFICIAL}"]


def test_another_mesh_is_moved_with_its_joints_by_the_alignment_without_mirroring():
    """The truth, turned, scaled and moved, with some vertices left out, is again the truth."""
    turn = Rotation.from_rotvec([0.4, 1.0, -0.2]).as_matrix()

    def moved(points: np.ndarray) -> np.ndarray:
        return 1.2 * points @ turn.T + (0.1, 0.0, 0.2)

    truth = Surfaces(VECTORS["true_joints_m"], VECTORS["true_vertices_m"])
    predicted = Surfaces(moved(truth.joints_m), moved(VECTORS["true_vertices_m"])[:, :20])
    found = scores.freihand_scores(predicted, truth)
    n_all = VECTORS["true_vertices_m"].shape[1]
    assert found[f"F@5 aligned {PROPER}"] > 2 * 20 / (20 + n_all) - 1e-9
    assert found[f"F@5 aligned {OFFICIAL}"] < 0.1


def test_scores_refuse_sets_of_different_or_no_hands():
    with pytest.raises(ValueError, match="2 predicted and 1 true hands"):
        scores.freihand_scores(Surfaces(np.zeros((2, 21, 3))), Surfaces(np.zeros((1, 21, 3))))
    with pytest.raises(ValueError, match="0 predicted"):
        scores.freihand_scores(Surfaces(np.zeros((0, 21, 3))), Surfaces(np.zeros((0, 21, 3))))


def test_interhand_scores_equal_loops_over_joints():
    rng = np.random.default_rng(0)
    sides = ["right", "left", "right", "left", "right", "left"]
    images = ["a", "b", "c", "c", "d", "d"]
    interacting = np.array([False, False, True, True, True, True])
    truth = rng.normal((0, 0, 0.7), 0.05, (6, 21, 3))
    predicted = truth + rng.normal(0, 0.01, truth.shape)
    truth[0, 4] = truth[2, 8] = truth[4, 8] = np.nan
    lists: dict[str, list[list[float]]] = {name: [[] for _ in range(42)] for name in ("all", "single", "interacting")}
    for row, side in enumerate(sides):
        for joint in range(21):
            if np.isnan(truth[row, joint, 0]):
                continue
            error = np.linalg.norm(predicted[row, joint] - predicted[row, 0] - truth[row, joint] + truth[row, 0])
            for name in ("all", "interacting" if interacting[row] else "single"):
                lists[name][joint + 21 * (side == "left")].append(1000 * error)
    found = scores.interhand_scores(predicted, truth, sides, interacting, images)
    for name, errors in lists.items():
        assert found[f"MPJPE {name} hands [mm]"] == pytest.approx(np.mean([np.mean(each) for each in errors if each]))
    apart = [predicted[left, 0] - predicted[right, 0] - (truth[left, 0] - truth[right, 0]) for right, left in ((2, 3), (4, 5))]
    assert found["MRRPE [mm]"] == pytest.approx(1000 * np.mean(np.linalg.norm(apart, axis=1)))
    alone = scores.interhand_scores(predicted[:1], truth[:1], sides[:1], interacting[:1], images[:1])
    assert np.isnan(alone["MRRPE [mm]"])
    assert np.isnan(alone["MPJPE interacting hands [mm]"])
