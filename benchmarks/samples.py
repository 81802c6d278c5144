"""Images with their truth: photographs from a folder, rendered hands of the held-out set, and mirror images."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from hand_mesh_ros.core.geometry import rigid
from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.hand import kinematics
from hand_mesh_ros.core.hand.joint_angles import joint_angles
from hand_mesh_ros.core.hand.wrist_frame import wrist_rotation
from hand_mesh_ros.core.types import Frame, Side

# Size and seed of the rendered test set.
TEST_COUNT, TEST_SEED = 500, 0

PAD_PX = 64
_OTHER: dict[str, Side] = {"left": "right", "right": "left"}
# A joint is hidden if a surface lies at least this distance in front of its own skin. A finger in front adds at least this much.
HIDDEN_M = 0.015
# Relative standard deviation of the adult hand length: Gordon et al. 1989, NATICK/TR-89/044, men and women together.
SIZE_REL_STD = 0.063
# Share of the natural hands that grasp an object.
_SHARE_OF_GRASPS = 0.35
# Scenes come in batches. With a fixed batch size, a short test set is the start of a long test set.
_BATCH = 50


@dataclass(frozen=True)
class Sample:
    """One image with its truth, metres in the camera's optical frame."""

    name: str
    frame: Frame
    joints_m: np.ndarray  # (21, 3)
    side: Side
    vertices_m: np.ndarray | None = None  # (V, 3), None if the surface is unknown
    hidden: np.ndarray | None = None  # (21,) bool, joints behind an object or outside the image; None if unknown
    has_objects: bool | None = None  # in the hand or in front of it; None if unknown

    @property
    def palm_angle_deg(self) -> float:
        """Angle between the palm's normal and the direction to the camera: 0 shows the palm, 90 the edge, 180 the back."""
        to_camera = -self.joints_m.mean(0)
        cosine = wrist_rotation(self.joints_m, self.side)[:, 0] @ to_camera / np.linalg.norm(to_camera)
        return float(np.rad2deg(np.arccos(np.clip(cosine, -1, 1))))


def real_samples(folder: Path) -> Iterator[Sample]:
    """Yields padded photographs. Their cameras have no distortion.

    Raises:
        ValueError: if an image is missing or cannot be read.
    """
    truth = np.load(folder / "annotations.npz")
    for name, camera_matrix, joints, side in zip(*(truth[key] for key in ("image", "camera_matrix", "joints_m", "handedness"))):
        path = folder / "images" / str(name)
        bgr = cv2.imread(str(path))
        if bgr is None:
            raise ValueError(f"{path}, listed in {folder / 'annotations.npz'}, is missing or is not an image")
        rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        yield Sample(str(name), _padded(rgb, camera_matrix), joints.astype(np.float64), str(side))


def _padded(rgb: np.ndarray, camera_matrix: np.ndarray) -> Frame:
    border = cv2.copyMakeBorder(rgb, PAD_PX, PAD_PX, PAD_PX, PAD_PX, cv2.BORDER_REFLECT_101)
    return Frame(border, _moved(camera_matrix, PAD_PX))


def _moved(camera_matrix: np.ndarray, offset_px: float) -> np.ndarray:
    """Returns the camera matrix (3, 3) of an image with more pixels on the left and above."""
    moved = camera_matrix.astype(np.float64)
    moved[:2, 2] += offset_px
    return moved


def rendered_samples(photographs: Iterable[Sample], seed: int) -> Iterator[Sample]:
    """Yields renders of our own hand in the poses of photographs, through the same cameras, with the same border.

    The true joints are those of our hand. They have no annotation errors, and the definition of the joints is that of the models.
    Skins, forearms, light and backgrounds are random, from the held-out set. No object covers the hands.

    Args:
        photographs: samples of `real_samples`, 256 x 256 px without their border.
        seed: seed of the appearance.
    """
    from models_train.data.scenes import SceneMaker
    from models_train.hands.sample import shipped_hand

    maker, hand = SceneMaker(np.random.default_rng(seed), held_out=True), shipped_hand()
    for photograph in photographs:
        right = flipped(photograph) if photograph.side == "left" else photograph
        joints, vertices = kinematics.pose(hand, joint_angles(hand, right.joints_m, "right"))
        camera_from_wrist = rigid.align(joints, right.joints_m, with_scale=True)
        camera_matrix = _moved(right.frame.camera_matrix, -PAD_PX)
        scene = maker.scene_of(joints, vertices, camera_from_wrist, camera_matrix, with_objects=False)
        hidden = hidden_joints(scene.joints_m, scene.vertices_m, camera_matrix, scene.depth_m)
        sample = Sample(photograph.name, _padded(scene.rgb, camera_matrix), scene.joints_m, "right", scene.vertices_m, hidden)
        yield flipped(sample) if photograph.side == "left" else sample


def synthetic_samples(count: int, seed: int, with_depth: bool = False, natural: bool = False) -> Iterator[Sample]:
    """Yields the test set, with held-out poses, builds, skin tones and backgrounds, and right and left hands in turn.

    The hand sizes vary like the sizes of adult hands. A change of scale about the optical centre changes no pixel, so only the
    truth is scaled. The same seed gives the same set. A smaller `count` gives the start of the set.

    Args:
        count: number of hands.
        seed: seed of the set.
        with_depth: frames have the rendered depth.
        natural: poses, grasps and views as they occur. Most poses are recorded poses, a third of the hands grasp an object, and
            most views show the palm or the back.
    """
    # Only rendered samples need the renderer.
    from models_train.data.scenes import SceneMaker

    objects = {"share_with_object": 0.0, "share_of_grasps": _SHARE_OF_GRASPS} if natural else {}
    maker = SceneMaker(np.random.default_rng(seed), held_out=True, natural=natural, **objects)
    sizes = np.exp(SIZE_REL_STD * np.random.default_rng([seed, 1]).standard_normal(count))
    for index, size in enumerate(sizes):
        if index % _BATCH == 0:
            scenes = maker.scenes(_BATCH)
        scene = scenes[index % _BATCH]
        frame = Frame(scene.rgb, scene.camera_matrix, (size * scene.depth_m).astype(np.float32) if with_depth else None)
        hidden = hidden_joints(scene.joints_m, scene.vertices_m, scene.camera_matrix, scene.depth_m)
        surface = size * scene.vertices_m
        sample = Sample(f"{seed}-{index:04d}", frame, size * scene.joints_m, "right", surface, hidden, scene.has_objects)
        yield flipped(sample) if index % 2 else sample


def hidden_joints(joints_m: np.ndarray, vertices_m: np.ndarray, camera_matrix: np.ndarray, depth_m: np.ndarray) -> np.ndarray:
    """Returns whether each joint is behind an object or outside the image: (21,) bool.

    Args:
        joints_m: (21, 3) in the camera frame.
        vertices_m: (V, 3) the skin around the joints.
        camera_matrix: (3, 3).
        depth_m: (H, W) depth of the whole scene, 0 for empty pixels.
    """
    column, row = np.round(project(joints_m, camera_matrix)).astype(int).T
    height, width = depth_m.shape
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    surface = depth_m[row.clip(0, height - 1), column.clip(0, width - 1)]
    flesh = np.linalg.norm(joints_m[:, None] - vertices_m, axis=-1).min(1)
    return ~inside | ((surface > 0) & (surface < joints_m[:, 2] - flesh - HIDDEN_M))


def flipped(sample: Sample) -> Sample:
    """Returns the mirror image with the matching camera and truth."""
    vertices = None if sample.vertices_m is None else mirror_points(sample.vertices_m)
    joints = mirror_points(sample.joints_m)
    return replace(sample, frame=sample.frame.mirrored(), joints_m=joints, side=_OTHER[sample.side], vertices_m=vertices)
