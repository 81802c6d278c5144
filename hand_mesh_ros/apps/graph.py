"""`hand-mesh generate`, `inpaint`, `reconstruct` and `fit`: hands from the graph diffusion, one mesh file per hand."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hand_mesh_ros.apps.command import (
    Choices,
    Command,
    camera_of,
    camera_options,
    depth_option,
    device_option,
    models_dir_option,
    out_option,
)
from hand_mesh_ros.results.kinds import MESHES

if TYPE_CHECKING:
    import numpy as np

    from hand_mesh_ros.core.config import PipelineConfig

# A vertex belongs to a finger if more than this part of its skin weight does.
_LEAST_SHARE = 0.01


def _fingers() -> tuple[str, ...]:
    from hand_mesh_ros.core.topology import FINGERS

    return FINGERS


def _sampling(steps: int) -> Callable[[Callable], Callable]:
    """Returns a decorator that adds the options of all four commands."""

    def decorate(command: Callable) -> Callable:
        for option in (
            models_dir_option,
            device_option,
            out_option("the current folder"),
            click.option(
                "--format", "kind", type=click.Choice(MESHES), default="obj", show_default=True, help="Mesh format [metres]."
            ),
            click.option("--seed", type=click.IntRange(0), metavar="N", default=0, show_default=True, help="Seed of the noise."),
            click.option(
                "--steps", type=click.IntRange(1, 1000), metavar="N", default=steps, show_default=True, help="Denoising steps."
            ),
            click.option("--n", type=click.IntRange(1, 1024), metavar="N", default=8, show_default=True, help="Number of hands."),
        ):
            command = option(command)
        return command

    return decorate


_side_option = click.option(
    "--side", type=click.Choice(["left", "right"]), default="right", show_default=True, help="Side of the hand."
)


@click.command(cls=Command, examples=("hand-mesh generate --n 16 --out hands", "hand-mesh generate --side left --format glb"))
@_sampling(steps=50)
@_side_option
def generate(n: int, steps: int, seed: int, side: str, kind: str, out: Path | None, **models: Any) -> None:
    """Generate random hands of average size, in the palm frame."""
    from hand_mesh_ros.results import mesh_file

    folder, config = _prepared(out, **models)
    graph = _graph(config)
    _write_all(folder, kind, graph.generate(n, seed, steps), graph.hand.faces, side, mesh_file.PALM_FRAME)


@click.command(
    cls=Command,
    examples=(
        "hand-mesh inpaint hand.obj --missing thumb,index --n 8",
        "hand-mesh inpaint hand.obj --missing index --skeleton    keeps only the joints of the rest",
    ),
)
@click.argument("mesh", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--missing",
    type=Choices(_fingers),
    required=True,
    metavar="FINGERS",
    help="Fingers to replace, separated by commas: thumb,index,middle,ring,little.",
)
@click.option("--skeleton", is_flag=True, help="Of the other fingers and the palm, keep only the joints.")
@_sampling(steps=50)
@_side_option
def inpaint(
    mesh: Path,
    missing: tuple[str, ...],
    skeleton: bool,
    n: int,
    steps: int,
    seed: int,
    side: str,
    kind: str,
    out: Path | None,
    **models: Any,
) -> None:
    """Replace fingers of a hand with sampled ones.

    The results are in the frame of the given hand. MESH is an OBJ or PLY file of this hand model in metres and of average size,
    like the files of `generate` and `reconstruct`.
    """
    import numpy as np

    from hand_mesh_ros.core.cascade.mesh_stage import palm_from_hand
    from hand_mesh_ros.core.geometry import rigid
    from hand_mesh_ros.core.topology import FINGER_JOINTS, FINGERS
    from hand_mesh_ros.results import mesh_file

    folder, config = _prepared(out, **models)
    graph = _graph(config)
    hand = graph.hand
    given_m = _as_right(mesh_file.read(mesh, len(hand.template_m)), side)
    rotation, translation = palm_from_hand(hand.joint_regressor @ given_m, hand)
    in_palm = rigid.transform(given_m, rotation, translation)
    # The base of a finger is part of the palm.
    joints = np.concatenate([FINGER_JOINTS[FINGERS.index(finger)][1:] for finger in missing])
    if skeleton:
        kept = np.isin(np.arange(len(hand.joints_m)), joints, invert=True)
        found = graph.inpaint_skeleton(hand.joint_regressor @ in_palm, kept, n, seed, steps)
    else:
        kept = hand.skin_weights[:, joints].sum(1) < _LEAST_SHARE
        found = graph.inpaint_mesh(in_palm, kept, n, seed, steps)
    _write_all(folder, kind, (found - translation) @ rotation, hand.faces, side, f"the frame of {mesh.name}")


_image_argument = click.argument("image", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@click.command(
    cls=Command,
    examples=(
        "hand-mesh reconstruct photo.jpg --fov 69 --n 8",
        "hand-mesh reconstruct photo.png --fov 69 --depth depth.png",
    ),
)
@_image_argument
@depth_option
@camera_options
@_sampling(steps=10)
def reconstruct(**options: Any) -> None:
    """Sample hypotheses of every hand in an image.

    The surfaces are in the camera frame. The most likely hypothesis comes first.
    """
    _reconstruct(fit=False, **options)


@click.command(cls=Command, examples=("hand-mesh fit photo.jpg --fov 69 --n 8",))
@_image_argument
@depth_option
@camera_options
@_sampling(steps=10)
def fit(**options: Any) -> None:
    """Sample hypotheses that are fitted to the keypoints.

    Like `reconstruct`, but every step fits the joints to the keypoints.
    """
    _reconstruct(fit=True, **options)


def _reconstruct(
    image: Path,
    depth: Path | None,
    camera_matrix: tuple[float, float, float, float] | None,
    fov_deg: float | None,
    mirrored: bool,
    n: int,
    steps: int,
    seed: int,
    kind: str,
    out: Path | None,
    fit: bool,
    **models: Any,
) -> None:
    camera = camera_of(camera_matrix, fov_deg)
    import numpy as np

    from hand_mesh_ros.core.graph.reconstruct import Effort, HandReconstructor
    from hand_mesh_ros.results import mesh_file
    from hand_mesh_ros.sources import photograph

    folder, config = _prepared(out, **models)
    frame = photograph.load(image, camera, depth, mirrored=mirrored)
    reconstructor = HandReconstructor(Path(config.models_dir), config)
    hands = reconstructor(frame, Effort(n, steps, seed, fit))
    for number, hand in enumerate(hands):
        side = hand.detection.handedness
        for rank, index in enumerate(np.argsort(-hand.weights)):
            path = folder / f"{image.stem}_{number}_{side}_{rank:02}.{kind}"
            mesh_file.write(path, hand.vertices_m[index], reconstructor.graph.hand.faces, side, mesh_file.CAMERA_FRAME)
            click.echo(f"wrote {path}: weight {hand.weights[index]:.3f}, {hand.reprojection_px[index]:.1f} px from its keypoints")
    if not hands:
        click.echo(f"{image}: no hand found")


def _prepared(out: Path | None, device: str, models_dir: Path | None) -> tuple[Path, "PipelineConfig"]:
    """Creates the folder of the results if missing. Returns the folder and the settings."""
    from hand_mesh_ros.core.config import PipelineConfig
    from hand_mesh_ros.core.models.onnx_model import default_models_dir

    folder = out or Path()
    folder.mkdir(parents=True, exist_ok=True)
    return folder, PipelineConfig(device=device, models_dir=str(models_dir or default_models_dir()))


def _graph(config: "PipelineConfig") -> Any:
    from hand_mesh_ros.core.graph.diffusion import GraphDiffusion

    return GraphDiffusion(Path(config.models_dir), config)


def _write_all(folder: Path, kind: str, vertices_m: "np.ndarray", faces: "np.ndarray", side: str, frame: str) -> None:
    from hand_mesh_ros.results import mesh_file

    for number, hand_m in enumerate(_as_right(vertices_m, side)):
        path = folder / f"hand_{number:02}.{kind}"
        mesh_file.write(path, hand_m, faces, "left" if side == "left" else "right", frame)
        click.echo(f"wrote {path}")


def _as_right(points: "np.ndarray", side: str) -> "np.ndarray":
    """Mirrors the points of a left hand. Points of a right hand stay."""
    from hand_mesh_ros.core.geometry.mirror import mirror_points

    return mirror_points(points) if side == "left" else points
