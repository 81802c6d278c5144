"""The user's own MANO file: no code of a pickle runs, and the posed hand follows the published equations."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.transform import Rotation
from tiny_datasets import IN_MANO, PARENTS, mano_content, write_mano

from models_train.datasets.formats.mano import BACK, FREIHAND_TIPS, ORDER, ManoHand
from models_train.datasets.formats.restricted_pickle import PickleError, as_array, load
from models_train.datasets.formats.sources import DatasetError

CONTENT = mano_content()


class Harmful:
    """A pickle that makes a file when it is loaded by `pickle.load`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def mano(tmp_path) -> ManoHand:
    return ManoHand.load(write_mano(tmp_path / "MANO_RIGHT.pkl", CONTENT))


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_chumpy_and_sparse_parts_become_their_arrays(tmp_path, protocol):
    mano = ManoHand.load(write_mano(tmp_path / "MANO_RIGHT.pkl", CONTENT, protocol))
    np.testing.assert_array_equal(mano.shape_directions, CONTENT["shapedirs"])
    np.testing.assert_allclose(mano.joint_regressor, CONTENT["J_regressor"])
    np.testing.assert_array_equal(mano.template_m, CONTENT["v_template"])
    assert mano.parents.tolist() == [-1, *PARENTS[1:]]


def test_both_kinds_of_sparse_matrices_are_read(tmp_path):
    dense = np.random.default_rng(0).integers(0, 3, (4, 7)).astype(float)
    for kind in (sparse.csc_matrix, sparse.csr_matrix):
        (tmp_path / "matrix.pkl").write_bytes(pickle.dumps(kind(dense), protocol=2))
        np.testing.assert_array_equal(as_array(load(tmp_path / "matrix.pkl")), dense)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_never_runs_code(tmp_path, protocol):
    trace = tmp_path / "trace"
    path = tmp_path / "MANO_RIGHT.pkl"
    path.write_bytes(pickle.dumps({**CONTENT, "f": Harmful(trace)}, protocol=protocol))
    with pytest.raises(DatasetError, match="mkdir, which is not part of an array file"):
        ManoHand.load(path)
    assert not trace.exists()
    pickle.loads(path.read_bytes())  # the trap is real
    assert trace.exists()


@pytest.mark.parametrize(
    "text",
    [
        b"cbuiltins\neval\n(V1+1\ntR.",
        b"cos\nsystem\n(Vtrue\ntR.",
        b"cnumpy\nload\n(Vx\ntR.",
        b"cnumpy.core.multiarray\nfromfile\n(Vx\ntR.",
        b"c_codecs\nencode\n(Vx\nVrot13\ntR.",
        b"ccopy_reg\n_reconstructor\n(cbuiltins\nset\ncbuiltins\nobject\nNtR.",
        b"cscipy.sparse\nload_npz\n(Vx\ntR.",
    ],
)
def test_other_names_are_refused(tmp_path, text):
    (tmp_path / "x.pkl").write_bytes(text)
    with pytest.raises(PickleError, match=r"x\.pkl"):
        load(tmp_path / "x.pkl")


def test_files_that_are_no_mano_files_say_what_is_missing(tmp_path):
    with pytest.raises(DatasetError, match=r"MANO_RIGHT.pkl is missing.*mano.is.tue.mpg.de"):
        ManoHand.load(tmp_path / "MANO_RIGHT.pkl")
    without = {name: value for name, value in CONTENT.items() if name != "weights"}
    with pytest.raises(DatasetError, match="has no weights"):
        ManoHand.load(write_mano(tmp_path / "a.pkl", without))
    with pytest.raises(DatasetError, match=r"v_template of shape \(6890, 3\), expected \(778, 3\)"):
        ManoHand.load(write_mano(tmp_path / "b.pkl", {**CONTENT, "v_template": np.zeros((6890, 3))}))


def test_joint_orders_are_inverse_and_match_the_figure():
    assert ORDER.tolist() == list(IN_MANO)
    np.testing.assert_array_equal(ORDER[BACK], np.arange(21))


def test_the_posed_hand_equals_homogeneous_transforms(mano):
    """The equations of the paper, joint by joint with 4 x 4 matrices."""
    rng = np.random.default_rng(1)
    pose, shape, translation = rng.normal(0, 0.4, 48), rng.normal(size=10), rng.normal(size=3)
    rest = CONTENT["v_template"] + np.einsum("vck,k->vc", CONTENT["shapedirs"], shape)
    joints = CONTENT["J_regressor"] @ rest
    turns = Rotation.from_rotvec(pose.reshape(16, 3)).as_matrix()
    rest = rest + np.einsum("vck,k->vc", CONTENT["posedirs"], (turns[1:] - np.eye(3)).reshape(-1))
    frames = []
    for joint in range(16):
        local = np.eye(4)
        local[:3, :3] = turns[joint]
        local[:3, 3] = joints[joint] - (joints[PARENTS[joint]] if joint else 0)
        frames.append(frames[PARENTS[joint]] @ local if joint else local)
    vertices = np.zeros((778, 3))
    for vertex in range(778):
        for joint in range(16):
            unposed = np.append(rest[vertex] - joints[joint], 1.0)
            vertices[vertex] += CONTENT["weights"][vertex, joint] * (frames[joint] @ unposed)[:3]
    posed = mano.pose(pose, shape, translation)
    np.testing.assert_allclose(posed.vertices_m, vertices + translation, atol=1e-12)
    joints_posed = np.array([frame[:3, 3] for frame in frames]) + translation
    np.testing.assert_allclose(posed.joints_m[[0, 1, 2, 3]], joints_posed[[0, 13, 14, 15]], atol=1e-12)
    np.testing.assert_allclose(posed.joints_m[[5, 9, 13, 17]], joints_posed[[1, 4, 10, 7]], atol=1e-12)
    np.testing.assert_allclose(posed.joints_m[[4, 8, 12, 16, 20]], posed.vertices_m[list(FREIHAND_TIPS)])


def test_a_turn_of_the_wrist_turns_the_whole_hand(mano):
    pose = np.random.default_rng(2).normal(0, 0.3, 48)
    pose[:3] = 0
    still = mano.pose(pose, np.zeros(10))
    turn = np.array([0.3, -1.0, 0.6])
    turned = mano.pose(np.concatenate([turn, pose[3:]]), np.zeros(10))
    rotation, wrist = Rotation.from_rotvec(turn).as_matrix(), still.joints_m[0]
    np.testing.assert_allclose(turned.vertices_m, (still.vertices_m - wrist) @ rotation.T + wrist, atol=1e-12)


def test_principal_components_start_at_the_mean_or_at_the_flat_hand(mano):
    coefficients = np.array([0.5, -1.0])
    fingers = 0.5 * CONTENT["hands_components"][0] - CONTENT["hands_components"][1]
    flat = mano.full_pose(np.ones(3), coefficients, is_flat=True)
    np.testing.assert_allclose(flat, [1, 1, 1, *fingers])
    np.testing.assert_allclose(mano.full_pose(np.ones(3), coefficients)[3:], fingers + CONTENT["hands_mean"])
