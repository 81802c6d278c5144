"""Writes tiny data sets in the official formats: rendered pictures, and invented numbers where no picture shows them."""

import json
import pickle
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import cv2
import numpy as np
from scipy import sparse

from hand_mesh_ros.core.geometry.mirror import mirror_points
from models_train.data.scenes import SceneMaker

N_MANO = 778
# Number in the skeleton of MANO of each joint from wrist to little fingertip, read from the figure of the HO-3D repository.
WRIST, INDEX, MIDDLE, LITTLE, RING, THUMB = 0, (1, 2, 3), (4, 5, 6), (7, 8, 9), (10, 11, 12), (13, 14, 15)
IN_MANO = (WRIST, *THUMB, 16, *INDEX, 17, *MIDDLE, 18, *RING, 19, *LITTLE, 20)
# The same for InterHand2.6M, written out from its skeleton.txt: thumb4 to thumb1, index4 to index1, ..., wrist.
IN_INTERHAND = (20, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 19, 18, 17, 16)
PARENTS = (2**32 - 1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14)


@dataclass(frozen=True)
class Hand:
    """A picture of a right hand with its truth, in metres and in the OpenCV camera frame."""

    rgb: np.ndarray
    camera_matrix: np.ndarray
    joints_m: np.ndarray  # (21, 3)
    vertices_m: np.ndarray  # (778, 3) of the rendered surface


def hands(count: int, seed: int = 0) -> list[Hand]:
    """Rendered natural hands."""
    scenes = SceneMaker(np.random.default_rng(seed), natural=True).scenes(count)
    return [Hand(scene.rgb, scene.camera_matrix, scene.joints_m, scene.vertices_m[:N_MANO]) for scene in scenes]


def invented_hands(count: int, seed: int = 0) -> list[Hand]:
    """Hands of random numbers in front of a camera, for tests without a detector."""
    rng = np.random.default_rng(seed)
    camera_matrix = np.array([[200.0, 0, 31.5], [0, 210.0, 23.5], [0, 0, 1]])
    return [
        Hand(
            rng.integers(0, 255, (48, 64, 3), np.uint8),
            camera_matrix,
            rng.normal((0.01, 0.02, 0.6), 0.05, (21, 3)),
            rng.normal((0.01, 0.02, 0.6), 0.05, (N_MANO, 3)),
        )
        for _ in range(count)
    ]


def write_freihand(root: Path, training: Sequence[Hand], evaluation: Sequence[Hand], with_truth: bool = True) -> Path:
    """Version 2 with all four backgrounds of each training sample."""
    for split, shown in (("training", training), ("evaluation", evaluation)):
        _write_json(root / f"{split}_K.json", [hand.camera_matrix.tolist() for hand in shown])
        _write_json(root / f"{split}_scale.json", [float(np.linalg.norm(hand.joints_m[9] - hand.joints_m[10])) for hand in shown])
        if split == "training" or with_truth:
            _write_json(root / f"{split}_xyz.json", [hand.joints_m.tolist() for hand in shown])
            _write_json(root / f"{split}_verts.json", [hand.vertices_m.tolist() for hand in shown])
        for index in range(len(shown) * (4 if split == "training" else 1)):
            _write_image(root / split / "rgb" / f"{index:08d}.jpg", shown[index % len(shown)].rgb)
    return root


def write_ho3d(root: Path, suffix: str, training: Sequence[Hand], evaluation: Sequence[Hand], with_truth: bool = True) -> Path:
    """Version 2 with `suffix` "png", version 3 with "jpg"."""
    flip = np.diag([1.0, -1.0, -1.0])
    for split, sequence, shown in (("train", "ABF10", training), ("evaluation", "SM1", evaluation)):
        (root / split / sequence / "meta").mkdir(parents=True)
        for index, hand in enumerate(shown):
            meta = {"camMat": hand.camera_matrix, "objName": "003_cracker_box", "objTrans": np.zeros(3, np.float32)}
            joints = in_mano_order(hand.joints_m) @ flip
            if split == "train":
                pose = {"handPose": np.full(48, 0.1), "handBeta": np.full(10, 0.2), "handTrans": np.array([0.0, 0.1, -0.6])}
                meta |= {"handJoints3D": joints, **pose}
            else:
                pixels = hand.joints_m @ hand.camera_matrix.T
                pixels = pixels[:, :2] / pixels[:, 2:]
                box = [*pixels.min(0), *pixels.max(0)]
                meta |= {"handJoints3D": joints[0], "handBoundingBox": box}
            (root / split / sequence / "meta" / f"{index:04d}.pkl").write_bytes(pickle.dumps(meta, protocol=2))
            _write_image(root / split / sequence / "rgb" / f"{index:04d}.{suffix}", hand.rgb)
        (root / f"{split}.txt").write_text("".join(f"{sequence}/{index:04d}\n" for index in range(len(shown))))
    if with_truth:
        _write_json(root / "evaluation_xyz.json", [(in_mano_order(hand.joints_m) @ flip).tolist() for hand in evaluation])
        _write_json(root / "evaluation_verts.json", [(hand.vertices_m @ flip).tolist() for hand in evaluation])
    return root


def write_interhand(root: Path, split: str, shown: Sequence[Hand], missing: Sequence[tuple[int, int]] = ()) -> Path:
    """One picture per hand: left, right and interacting in turn. `missing` names joints (picture, joint of 42)."""
    kinds = ("left", "right", "interacting")
    images, annotations, joints = [], [], {}
    camera: dict[str, dict[str, list]] = {"campos": {}, "camrot": {}, "focal": {}, "princpt": {}}
    rotation = cv2.Rodrigues(np.array([0.3, -0.2, 0.5]))[0]
    position_mm = np.array([100.0, -50.0, 900.0])
    for index, hand in enumerate(shown):
        kind = kinds[index % 3]
        name = f"{400262 + index}"  # every picture has its own camera
        file_name = f"Capture0/ROM01/cam{name}/image{1000 + index}.jpg"
        width, (cx, cy) = hand.rgb.shape[1], hand.camera_matrix[:2, 2]
        # A picture of a left hand is the mirrored picture of a right hand, and so is its truth.
        left_m = mirror_points(hand.joints_m)
        rgb, right_m = (hand.rgb[:, ::-1], left_m) if kind == "left" else (hand.rgb, hand.joints_m)
        both_m = np.concatenate([in_interhand_order(right_m), in_interhand_order(left_m)])
        valid = np.repeat([kind != "left", kind != "right"], 21)
        valid[[joint for picture, joint in missing if picture == index]] = False
        world_mm = (1000 * both_m) @ rotation + position_mm
        camera["campos"][name], camera["camrot"][name] = position_mm.tolist(), rotation.tolist()
        camera["focal"][name] = np.diag(hand.camera_matrix)[:2].tolist()
        camera["princpt"][name] = [width - 1 - cx if kind == "left" else cx, cy]
        images.append(
            {
                "id": index,
                "file_name": file_name,
                "width": width,
                "height": hand.rgb.shape[0],
                "capture": 0,
                "subject": 0,
                "seq_name": "ROM01",
                "camera": name,
                "frame_idx": 1000 + index,
            }
        )
        joint_valid = valid.astype(int).tolist()
        annotation = {"id": 7 + index, "image_id": index, "bbox": [0, 0, 1, 1], "joint_valid": joint_valid}
        annotations.append({**annotation, "hand_type": kind, "hand_type_valid": 1})
        joints[str(1000 + index)] = {
            "world_coord": world_mm.tolist(),
            "joint_valid": valid.astype(int)[:, None].tolist(),
            "hand_type": kind,
            "hand_type_valid": True,
        }
        _write_image(root / "images" / split / file_name, rgb)
    stem = root / "annotations" / split / f"InterHand2.6M_{split}"
    _write_json(Path(f"{stem}_data.json"), {"images": images, "annotations": annotations})
    _write_json(Path(f"{stem}_camera.json"), {"0": camera})
    _write_json(Path(f"{stem}_joint_3d.json"), {"0": joints})
    return root


def mano_content(seed: int = 0) -> dict[str, Any]:
    """An invented model with the arrays of MANO_RIGHT.pkl."""
    rng = np.random.default_rng(seed)
    weights = rng.uniform(size=(N_MANO, 16)) ** 8
    regressor = rng.uniform(size=(16, N_MANO)) * (rng.uniform(size=(16, N_MANO)) < 0.02)
    return {
        "v_template": rng.normal(0, 0.05, (N_MANO, 3)),
        "shapedirs": rng.normal(0, 0.003, (N_MANO, 3, 10)),
        "posedirs": rng.normal(0, 0.002, (N_MANO, 3, 135)),
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
        "weights": weights / weights.sum(1, keepdims=True),
        "kintree_table": np.array([PARENTS, range(16)], np.int64),
        "f": rng.integers(0, N_MANO, (1538, 3)).astype(np.uint32),
        "hands_components": np.linalg.qr(rng.normal(size=(45, 45)))[0],
        "hands_mean": rng.normal(0, 0.2, 45),
        "bs_style": "lbs",
    }


def write_mano(path: Path, content: dict[str, Any], protocol: int = 2) -> Path:
    """Writes the model as the official file does: shapedirs a selection of a chumpy variable, J_regressor a sparse matrix."""
    ch, reordering = ModuleType("chumpy.ch"), ModuleType("chumpy.reordering")
    ch.Ch = type("Ch", (), {"__module__": "chumpy.ch"})
    reordering.Select = type("Select", (), {"__module__": "chumpy.reordering"})
    wider = np.concatenate([content["shapedirs"], np.ones_like(content["shapedirs"])], -1)
    variable, selection = ch.Ch(), reordering.Select()
    variable.__dict__.update(x=wider, _dirty_vars={"x"})
    numbers = np.arange(wider.size).reshape(wider.shape)[..., :10]
    selection.__dict__.update(a=variable, idxs=numbers.ravel(), preferred_shape=numbers.shape, _dirty_vars=set())
    stored = {**content, "shapedirs": selection, "J_regressor": sparse.csc_matrix(content["J_regressor"])}
    with mock.patch.dict(sys.modules, {"chumpy": ModuleType("chumpy"), "chumpy.ch": ch, "chumpy.reordering": reordering}):
        path.write_bytes(pickle.dumps(stored, protocol=protocol))
    return path


def in_mano_order(joints: np.ndarray) -> np.ndarray:
    """Joints (21, 3) of this package in the order of MANO."""
    ordered = np.empty_like(joints)
    ordered[list(IN_MANO)] = joints
    return ordered


def in_interhand_order(joints: np.ndarray) -> np.ndarray:
    """Joints (21, 3) of this package in the order of one hand of InterHand2.6M."""
    ordered = np.empty_like(joints)
    ordered[list(IN_INTERHAND)] = joints
    return ordered


def _write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _write_image(path: Path, rgb: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2BGR))
