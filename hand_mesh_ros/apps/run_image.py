"""Hands of one image file: a picture with the overlay, and one mesh file per hand. Needs no ROS.

hand-mesh-image photo.jpg                     # writes photo_hands.png, photo_left.obj, ...
hand-mesh-image photo.jpg --hfov 69 --out results/
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
import trimesh

from hand_mesh_ros.apps.assumed_camera import assumed_matrix
from hand_mesh_ros.apps.overlay import draw_overlay
from hand_mesh_ros.core.mirror import mirror_faces
from hand_mesh_ros.core.onnx_model import ModelError
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.types import Frame, HandEstimate


def main(arguments: list[str] | None = None) -> int:
    """0 if a hand was found, 1 if not, 2 for input that cannot be used."""
    options = _parser().parse_args(arguments)
    bgr = cv2.imread(str(options.image), cv2.IMREAD_COLOR)
    if bgr is None:
        print(f"{options.image} is missing, or no image that OpenCV can read", file=sys.stderr)
        return 2
    try:
        pipeline = HandMeshPipeline.default(device=options.device)
        frame = Frame(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), _camera_matrix(options, bgr.shape[1], bgr.shape[0]))
    except (ModelError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    frame = frame.mirrored() if options.mirrored else frame
    hands = pipeline.estimate(frame)
    folder = options.out or options.image.parent
    folder.mkdir(parents=True, exist_ok=True)
    overlay = draw_overlay(frame.rgb, hands, frame.working_camera_matrix)
    _write(folder / f"{options.image.stem}_hands.png", cv2.imencode(".png", overlay[..., ::-1])[1].tobytes())
    for number, hand in enumerate(hands):
        twin = any(other.handedness == hand.handedness for other in hands[:number])
        name = f"{options.image.stem}_{hand.handedness}{f'_{number}' if twin else ''}.obj"
        _write(folder / name, obj_text(hand, pipeline.hand_model.faces).encode())
        print(_describe(hand))
    if not hands:
        print("no hand found")
    return 0 if hands else 1


def obj_text(hand: HandEstimate, faces: np.ndarray) -> str:
    """The hand's surface as a Wavefront OBJ in metres, in the camera's optical frame (x right, y down, z forward).

    Args:
        hand: the estimate.
        faces: (F, 3) of a right hand.
    """
    wound = mirror_faces(faces) if hand.handedness == "left" else faces
    return trimesh.Trimesh(hand.vertices_m, wound, process=False).export(
        file_type="obj", header="metres, x right, y down, z forward"
    )


def _camera_matrix(options: argparse.Namespace, width: int, height: int) -> np.ndarray:
    if options.k is None:
        return assumed_matrix(width, height, options.hfov)
    fx, fy, cx, cy = options.k
    if not (fx > 0 and fy > 0):
        raise ValueError(f"--k has focal lengths {fx} and {fy} px, both must be positive")
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])


def _describe(hand: HandEstimate) -> str:
    text = f"{hand.handedness} hand, score {hand.score:.2f}, {len(hand.weights)} hypotheses in {hand.n_modes} mode(s)"
    if hand.scale_source == "none":
        return f"{text}; the camera is not known, so the mesh is relative to the wrist"
    place = ", ".join(f"{value:.3f}" for value in hand.wrist_pose[:3, 3])
    return f"{text}; wrist at ({place}) m, scale from {hand.scale_source} to {100 * hand.scale_rel_std:.0f} %"


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    print(f"wrote {path}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=Path)
    parser.add_argument("--out", type=Path, help="folder of the results; the image's own by default")
    parser.add_argument("--hfov", type=float, default=0.0, help="horizontal field of view [deg]; without it no position is given")
    parser.add_argument("--k", type=float, nargs=4, metavar=("FX", "FY", "CX", "CY"), help="calibration [px], instead of --hfov")
    parser.add_argument("--mirrored", action="store_true", help="the image is a selfie view: mirrored left to right")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or tensorrt")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
