"""Hands from the graph diffusion, an OBJ file each; needs no ROS.

hand-mesh-graph generate --n 16 --out hands/                    # any hands
hand-mesh-graph inpaint hand.obj --missing thumb index --n 8    # a hand with another thumb and index finger
hand-mesh-graph inpaint hand.obj --missing index --skeleton     # the same, but of the rest only the joints are kept
hand-mesh-graph reconstruct photo.jpg --hfov 69 --n 8 --fit     # explanations of a photograph
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from hand_mesh_ros.apps import mesh_file
from hand_mesh_ros.core.cascade.mesh_stage import palm_from_hand
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.geometry import rigid
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.graph.diffusion import GraphDiffusion
from hand_mesh_ros.core.graph.reconstruct import Effort, HandReconstructor
from hand_mesh_ros.core.models.onnx_model import ModelError, default_models_dir
from hand_mesh_ros.core.topology import FINGER_JOINTS, FINGERS
from hand_mesh_ros.sources import photograph

# A vertex belongs to a finger if more than this of its skin weight does.
_LEAST_SHARE = 0.01


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if hands were written, 1 if the photograph shows none, 2 for input that cannot be used."""
    options = _parser().parse_args(arguments)
    folder = Path(options.models_dir) if options.models_dir else default_models_dir()
    config = PipelineConfig(device=options.device, models_dir=str(folder))
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        return options.run(options, folder, config)
    except (ModelError, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2


def generate(options: argparse.Namespace, models_dir: Path, config: PipelineConfig) -> int:
    """Hands of any pose, in the palm frame."""
    graph = GraphDiffusion(models_dir, config)
    _write_all(options, graph, graph.generate(options.n, options.seed, options.steps), mesh_file.PALM_FRAME)
    return 0


def inpaint(options: argparse.Namespace, models_dir: Path, config: PipelineConfig) -> int:
    """Hands that share all but some fingers with a given one, in its frame."""
    graph = GraphDiffusion(models_dir, config)
    hand = graph.hand
    given_m = _as_right(options, mesh_file.read(options.mesh, len(hand.template_m)))
    rotation, translation = palm_from_hand(hand.joint_regressor @ given_m, hand)
    in_palm = rigid.transform(given_m, rotation, translation)
    # The base of a finger is part of the palm.
    missing = np.concatenate([FINGER_JOINTS[FINGERS.index(finger)][1:] for finger in options.missing])
    if options.skeleton:
        kept = np.isin(np.arange(len(hand.joints_m)), missing, invert=True)
        found = graph.inpaint_skeleton(hand.joint_regressor @ in_palm, kept, options.n, options.seed, options.steps)
    else:
        kept = hand.skin_weights[:, missing].sum(1) < _LEAST_SHARE
        found = graph.inpaint_mesh(in_palm, kept, options.n, options.seed, options.steps)
    _write_all(options, graph, (found - translation) @ rotation, f"the frame of {options.mesh.name}")
    return 0


def reconstruct(options: argparse.Namespace, models_dir: Path, config: PipelineConfig) -> int:
    """Explanations of every hand of a photograph in the camera frame, the likeliest first."""
    frame = photograph.load(options)
    reconstructor = HandReconstructor(models_dir, config)
    hands = reconstructor(frame, Effort(options.n, options.steps, options.seed, options.fit))
    for number, hand in enumerate(hands):
        side = hand.detection.handedness
        for rank, index in enumerate(np.argsort(-hand.weights)):
            path = options.out / f"{options.image.stem}_{number}_{side}_{rank:02}.obj"
            mesh_file.write(path, hand.vertices_m[index], reconstructor.graph.hand.faces, side, mesh_file.CAMERA_FRAME)
            print(f"  weight {hand.weights[index]:.3f}, {hand.reprojection_px[index]:.1f} px from its keypoints")
    if not hands:
        print("no hand found")
    return 0 if hands else 1


def _write_all(options: argparse.Namespace, graph: GraphDiffusion, vertices_m: np.ndarray, frame: str) -> None:
    for number, hand_m in enumerate(_as_right(options, vertices_m)):
        mesh_file.write(options.out / f"hand_{number:02}.obj", hand_m, graph.hand.faces, options.side, frame)


def _as_right(options: argparse.Namespace, points: np.ndarray) -> np.ndarray:
    """Left hands as right ones, and back."""
    return mirror_points(points) if options.side == "left" else points


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="generate | inpaint | reconstruct")
    _command(commands, generate, steps=50).add_argument("--side", default="right", choices=("left", "right"))
    inpainting = _command(commands, inpaint, steps=50)
    inpainting.add_argument("mesh", type=Path, help="an OBJ file of this hand model, of average size, such as those written here")
    inpainting.add_argument("--missing", nargs="+", required=True, choices=FINGERS, help="fingers to make anew")
    inpainting.add_argument("--skeleton", action="store_true", help="of the rest keep the joints, not the surface")
    inpainting.add_argument("--side", default="right", choices=("left", "right"), help="of the given hand")
    reconstruction = _command(commands, reconstruct, steps=10)
    photograph.add_options(reconstruction)
    reconstruction.add_argument("--fit", action="store_true", help="pull the joints onto the keypoints at every step")
    return parser


def _command(commands: argparse._SubParsersAction, run: Callable, steps: int) -> argparse.ArgumentParser:
    parser = commands.add_parser(run.__name__, help=run.__doc__)
    parser.set_defaults(run=run)
    parser.add_argument("--n", type=int, default=8, help="number of hands (default 8)")
    parser.add_argument("--steps", type=int, default=steps, help=f"denoising steps (default {steps})")
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    parser.add_argument("--out", type=Path, default=Path(), help="folder of the results")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or tensorrt")
    parser.add_argument("--models-dir", default="", help="folder of the model files; the shipped ones if not given")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
