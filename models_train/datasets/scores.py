"""Scores as the official scorers of the data sets compute them. Points are in metres, figures in millimetres or from 0 to 1.

The scorers of FreiHAND and HO-3D align by a similarity that may contain a reflection, so a mirrored hand has no error. Published
figures use this alignment. `official_alignment` is equal to theirs, and every figure has a second one whose alignment does not
mirror. `rigid.align` of core gives that second alignment.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hand_mesh_ros.core.geometry import rigid
from hand_mesh_ros.core.topology import MIDDLE_MCP, N_JOINTS, WRIST

F_DISTANCES_M = (0.005, 0.015)
_AUC_THRESHOLDS_M = np.linspace(0, 0.050, 100)
OFFICIAL, PROPER = "official", "without mirroring"


@dataclass(frozen=True)
class Surfaces:
    """Hands of N images: predictions or truth, in the camera frame."""

    joints_m: np.ndarray  # (N, 21, 3)
    vertices_m: Sequence[np.ndarray] = ()  # N arrays (V, 3); empty if there are no surfaces


def auc(errors: np.ndarray) -> float:
    """Returns the area under the curve of points within 0..50 mm, 0..1, of errors (N, P): per point over N, then the mean."""
    share = (errors[None] <= _AUC_THRESHOLDS_M[:, None, None]).mean(1)
    # By the trapezoidal rule. numpy has it as `trapz` before version 2 and as `trapezoid` from version 2 on.
    area = np.tensordot(np.diff(_AUC_THRESHOLDS_M), (share[1:] + share[:-1]) / 2, axes=1) / _AUC_THRESHOLDS_M[-1]
    return float(area.mean())


def f_scores(predicted: np.ndarray, truth: np.ndarray, distances_m: Sequence[float]) -> list[float]:
    """Returns the F-score of nearest points within each distance, 0..1, of clouds (N, 3) and (M, 3)."""
    middle = truth.mean(0)
    one, other = predicted - middle, truth - middle
    apart2 = (one**2).sum(-1)[:, None] + (other**2).sum(-1) - 2 * one @ other.T
    to_truth, to_predicted = apart2.min(1), apart2.min(0)
    shares = [((to_truth < distance**2).mean(), (to_predicted < distance**2).mean()) for distance in distances_m]
    return [float(2 * precision * recall / max(precision + recall, 1e-12)) for precision, recall in shares]


def official_alignment(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Returns `predicted` (..., P, 3) aligned with `truth` (..., P, 3) by a similarity that may mirror.

    This is the alignment of both official scorers. They add 1e-8 to the sizes, which also keeps a hand of size zero finite.
    """
    rotation, gain, size = _official_parts(predicted, truth)
    centred = predicted - predicted.mean(-2, keepdims=True)
    own_size = np.linalg.norm(centred, axis=(-2, -1), keepdims=True) + 1e-8
    return centred / own_size @ np.swapaxes(rotation, -1, -2) * (gain * size) + truth.mean(-2, keepdims=True)


def _official_parts(predicted: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Orthogonal matrix (..., 3, 3), gain (..., 1, 1) of the normalised cloud, and size (..., 1, 1) of the truth."""
    one, other = (points - points.mean(-2, keepdims=True) for points in (truth, predicted))
    size, own_size = (np.linalg.norm(points, axis=(-2, -1), keepdims=True) + 1e-8 for points in (one, other))
    u, singular, vt = np.linalg.svd(np.swapaxes(one / size, -1, -2) @ (other / own_size))
    return u @ vt, singular.sum(-1)[..., None, None], size


def aligned_by_joints(vertices: np.ndarray, joints: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Returns vertices (V, 3) moved by the alignment of joints (21, 3) with true joints (21, 3), as the official scorers do.

    They use it for meshes with another number of vertices than the truth. Their code leaves out the division by the size of the
    predicted skeleton, and it turns about the centre of the vertices. The result therefore has a wrong size, and the F-scores of
    such meshes are almost zero. Use the figures without mirroring instead: these move vertices and joints together.
    """
    rotation, gain, size = _official_parts(joints, truth)
    centre = vertices.mean(0)
    return (vertices - centre) @ rotation.T * (gain * size)[0, 0] + truth.mean(0) - joints.mean(0) + centre


def scale_translation_alignment(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Returns skeletons (..., 21, 3) with the true wrist and the true length from the wrist to the middle MCP joint.

    This is the second alignment of HO-3D. It shows errors of the rotation of the hand, which the similarity hides.
    """

    def length(joints: np.ndarray) -> np.ndarray:
        return np.linalg.norm(joints[..., [MIDDLE_MCP], :] - joints[..., [WRIST], :], axis=-1, keepdims=True)

    own = length(predicted)
    scaled = predicted * (length(truth) / np.where(own > 0, own, 1.0))
    return scaled - scaled[..., [WRIST], :] + truth[..., [WRIST], :]


def freihand_scores(predicted: Surfaces, truth: Surfaces) -> dict[str, float]:
    """Returns the figures of FreiHAND's scorer, and for the aligned figures also those without mirroring.

    Without surfaces, the figures of the surface are missing. If the numbers of vertices differ, the vertex errors are NaN; the
    official scorer writes -1 there.

    Args:
        predicted: N hands.
        truth: the same hands.

    Raises:
        ValueError: if the numbers of hands differ or are zero.
    """
    if len(predicted.joints_m) != len(truth.joints_m) or not len(truth.joints_m):
        raise ValueError(f"{len(predicted.joints_m)} predicted and {len(truth.joints_m)} true hands; give one for each")
    joints, true_joints = predicted.joints_m, truth.joints_m
    alignments = {OFFICIAL: official_alignment(joints, true_joints), PROPER: _proper_alignment(joints, true_joints)}
    figures = _errors("MPJPE", joints, true_joints)
    for name, aligned in alignments.items():
        figures |= _errors(f"PA-MPJPE {name}", aligned, true_joints)
    figures |= _errors("MPJPE root-relative", joints - joints[:, [WRIST]], true_joints - true_joints[:, [WRIST]])
    return figures | _surface_scores(predicted, truth)


def ho3d_scores(predicted: Surfaces, truth: Surfaces) -> dict[str, float]:
    """Returns the figures of HO-3D's scorer: those of `freihand_scores` and the error after scale and translation alignment."""
    figures = freihand_scores(predicted, truth)
    aligned = scale_translation_alignment(predicted.joints_m, truth.joints_m)
    return figures | _errors("MPJPE scale and translation aligned", aligned, truth.joints_m)


def interhand_scores(
    predicted_m: np.ndarray, true_m: np.ndarray, sides: Sequence[str], is_interacting: np.ndarray, images: Sequence[str]
) -> dict[str, float]:
    """Returns the figures of InterHand2.6M: MPJPE with equal wrists per kind of image, and MRRPE of the two wrists [mm].

    Each of the 42 joints has its own mean over the images, and MPJPE is the mean of these. MRRPE is the error of the left wrist
    relative to the right wrist. The official baseline takes the depth of the right wrist from the truth. This function does not.

    Args:
        predicted_m: (N, 21, 3) in the camera frame.
        true_m: (N, 21, 3); NaN for joints without annotation.
        sides: N of "right" and "left".
        is_interacting: (N,) bool, the image shows both hands.
        images: N names; the two hands of an image have the same name.
    """
    relative, true_relative = (joints - joints[:, [WRIST]] for joints in (predicted_m, true_m))
    errors = 1e3 * np.linalg.norm(relative - true_relative, axis=-1)
    is_left = np.array([side == "left" for side in sides])
    per_joint = np.full((len(errors), 2 * N_JOINTS), np.nan)
    per_joint[~is_left, :N_JOINTS], per_joint[is_left, N_JOINTS:] = errors[~is_left], errors[is_left]
    rows = {"all": np.ones(len(errors), bool), "single": ~is_interacting, "interacting": is_interacting}
    figures = {f"MPJPE {name} hands [mm]": _mean_of_means(per_joint[chosen]) for name, chosen in rows.items()}
    right = {image: row for row, image in enumerate(images) if not is_left[row] and is_interacting[row]}
    pairs = [(right[image], row) for row, image in enumerate(images) if is_left[row] and image in right]
    apart = [
        predicted_m[left, WRIST] - predicted_m[right, WRIST] - true_m[left, WRIST] + true_m[right, WRIST] for right, left in pairs
    ]
    return figures | {"MRRPE [mm]": float(1e3 * np.linalg.norm(apart, axis=-1).mean()) if pairs else float("nan")}


def _mean_of_means(errors: np.ndarray) -> float:
    """Mean over the columns, that have any value, of the mean of each column."""
    counts = np.isfinite(errors).sum(0)
    return float((np.nansum(errors, 0)[counts > 0] / counts[counts > 0]).mean()) if counts.any() else float("nan")


def _proper_alignment(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return rigid.transform(predicted, *rigid.align(predicted, truth, with_scale=True))


def _errors(name: str, predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    errors = np.linalg.norm(predicted - truth, axis=-1)
    return {f"{name} [mm]": float(1e3 * errors.mean()), f"AUC {name}": auc(errors)}


def _surface_scores(predicted: Surfaces, truth: Surfaces) -> dict[str, float]:
    if not len(predicted.vertices_m) or not len(truth.vertices_m):
        return {}
    names = {"": _unaligned, f"aligned {OFFICIAL}": _aligned_officially, f"aligned {PROPER}": _aligned_properly}
    figures: dict[str, float] = {}
    for name, align in names.items():
        moved = [align(*hand) for hand in zip(predicted.vertices_m, truth.vertices_m, predicted.joints_m, truth.joints_m)]
        label = name.replace("aligned", "PA-MPVPE") or "MPVPE"
        if all(one.shape == other.shape for one, other in zip(moved, truth.vertices_m)):
            figures |= _errors(label, np.stack(moved), np.stack(truth.vertices_m))
        else:
            figures |= {f"{label} [mm]": float("nan"), f"AUC {label}": float("nan")}
        scores = np.mean([f_scores(one, other, F_DISTANCES_M) for one, other in zip(moved, truth.vertices_m)], 0)
        figures |= {f"F@{1e3 * distance:.0f} {name}".strip(): float(score) for distance, score in zip(F_DISTANCES_M, scores)}
    return figures


def _unaligned(vertices: np.ndarray, true_vertices: np.ndarray, joints: np.ndarray, true_joints: np.ndarray) -> np.ndarray:
    return vertices


def _aligned_officially(
    vertices: np.ndarray, true_vertices: np.ndarray, joints: np.ndarray, true_joints: np.ndarray
) -> np.ndarray:
    if vertices.shape == true_vertices.shape:
        return official_alignment(vertices, true_vertices)
    return aligned_by_joints(vertices, joints, true_joints)


def _aligned_properly(vertices: np.ndarray, true_vertices: np.ndarray, joints: np.ndarray, true_joints: np.ndarray) -> np.ndarray:
    if vertices.shape == true_vertices.shape:
        return _proper_alignment(vertices, true_vertices)
    return rigid.transform(vertices, *rigid.align(joints, true_joints, with_scale=True))
