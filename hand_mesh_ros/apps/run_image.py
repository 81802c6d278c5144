"""Hands of one image file: a picture with the overlay, and one mesh file per hand. Needs no ROS.

hand-mesh-image photo.jpg                     # writes photo_hands.png, photo_left.obj, ...
hand-mesh-image photo.jpg --hfov 69 --out results/
"""

import argparse
import sys
from pathlib import Path

import cv2

from hand_mesh_ros.apps import mesh_file
from hand_mesh_ros.core.models.onnx_model import ModelError
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.types import HandEstimate
from hand_mesh_ros.sources import photograph
from hand_mesh_ros.viewer.overlay import draw_overlay


def main(arguments: list[str] | None = None) -> int:
    """0 if a hand was found, 1 if not, 2 for input that cannot be used."""
    options = _parser().parse_args(arguments)
    try:
        frame = photograph.load(options)
        pipeline = HandMeshPipeline.default(device=options.device, fit_enabled=options.fit, fit_budget_ms=0.0)
    except (ModelError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    hands = pipeline.estimate(frame, alone=True)
    folder = options.out or options.image.parent
    folder.mkdir(parents=True, exist_ok=True)
    overlay = draw_overlay(frame.rgb, hands, frame.working_camera_matrix)
    picture = folder / f"{options.image.stem}_hands.png"
    cv2.imwrite(str(picture), overlay[..., ::-1])
    print(f"wrote {picture}")
    for number, hand in enumerate(hands):
        twin = any(other.handedness == hand.handedness for other in hands[:number])
        name = f"{options.image.stem}_{hand.handedness}{f'_{number}' if twin else ''}.obj"
        mesh_file.write(folder / name, hand.vertices_m, pipeline.hand_model.faces, hand.handedness, mesh_file.CAMERA_FRAME)
        print(_describe(hand))
    if not hands:
        print("no hand found")
    return 0 if hands else 1


def _describe(hand: HandEstimate) -> str:
    text = f"{hand.handedness} hand, score {hand.score:.2f}, {len(hand.weights)} hypotheses in {hand.n_modes} mode(s)"
    if hand.scale_source == "none":
        return f"{text}; the camera is not known, so the mesh is relative to the wrist"
    place = ", ".join(f"{value:.3f}" for value in hand.wrist_pose[:3, 3])
    return f"{text}; wrist at ({place}) m, scale from {hand.scale_source} to {100 * hand.scale_rel_std:.0f} %"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    photograph.add_options(parser)
    parser.add_argument("--out", type=Path, help="folder of the results; the image's own by default")
    parser.add_argument("--fit", action="store_true", help="fit the mesh to the keypoints with the graph diffusion")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or tensorrt")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
