"""Makes training views with the real detector: renders random scenes and stores the detector's results.

    .venv/bin/python -m models_train.data.detected --out runs/detected --count 130000 --seed 0
    .venv/bin/python -m models_train.data.detected --out runs/detected --count 4000 --seed 1 --held-out
    .venv/bin/python -m models_train.data.detected --out runs/natural --count 3000 --seed 8 --held-out --natural

Writes shards of `SHARD_SIZE` hands and prints the share of hands that the detector found. The same command resumes an interrupted
run. Several seeds may run at the same time. One core makes about 50 hands per second.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.detect.detector import HandDetector, crop
from hand_mesh_ros.core.geometry import camera
from hand_mesh_ros.core.geometry.rays import ray_extent
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.topology import N_JOINTS, WRIST
from hand_mesh_ros.core.types import Frame, HandDetection
from models_train.data.scenes import Scene, SceneMaker

SHARD_SIZE = 1000
# Share of views with a tracked hand. In the other views the palm detector finds the hand, as in a first image.
_SHARE_FOLLOWED = 0.8
# Errors of the previous keypoints, relative to the hand's extent: shift of the whole hand, and shift of each joint.
_MOTION, _JITTER = 0.12, 0.05
# With a larger error than this share of the hand's extent, the detector looks at another object.
_ASTRAY = 0.7


def observe(detector: HandDetector, scene: Scene, rng: np.random.Generator) -> HandDetection | None:
    """Returns the detection of the hand in a scene; None if the detector misses the hand or reports a left hand."""
    frame = Frame(scene.rgb, scene.camera_matrix)
    truth = camera.project(scene.joints_m, scene.camera_matrix)
    previous = []
    if rng.random() < _SHARE_FOLLOWED:
        previous.append(_followed(previous_keypoints(rng, truth)))
    for hand in detector.detect(frame, previous, search=False):
        distance = np.linalg.norm(hand.keypoints_px - truth, axis=-1).mean()
        if hand.handedness == "right" and distance < _ASTRAY * ray_extent(truth):
            return hand
    return None


def previous_keypoints(rng: np.random.Generator, keypoints_px: np.ndarray) -> np.ndarray:
    """Returns keypoints (21, 2) as the previous image may show them, for true keypoints (21, 2)."""
    errors = _MOTION * rng.normal(size=2) + _JITTER * rng.normal(size=keypoints_px.shape)
    return keypoints_px + ray_extent(keypoints_px) * errors


def _followed(keypoints_px: np.ndarray) -> HandDetection:
    nothing = np.zeros(N_JOINTS, np.float32)
    world = np.zeros((N_JOINTS, 3), np.float32)
    return HandDetection(
        keypoints_px, nothing, nothing, world, "right", 1.0, 1.0, crop.around_keypoints(keypoints_px), "followed"
    )


def records(seed: int, shard: int, held_out: bool, natural: bool = False) -> Iterator[dict[str, np.ndarray]]:
    """Yields views without end, each as the arrays of a shard. The same arguments give the same views."""
    rng = np.random.default_rng((seed, shard, int(held_out)))
    maker = SceneMaker(rng, held_out, natural=natural)
    detector = HandDetector(default_models_dir(), PipelineConfig(max_hands=1, min_score=0.3, threads=1))
    tries = 0
    while True:
        for scene in maker.scenes(50):
            hand, tries = observe(detector, scene, rng), tries + 1
            if hand is None:
                continue
            yield {
                "tries": np.int32(tries),
                "rays": camera.rays_from_pixels(hand.keypoints_px, scene.camera_matrix).astype(np.float32),
                "depth": hand.keypoint_depth_px / np.float32(scene.camera_matrix[0, 0]),
                "confidence": hand.keypoint_conf,
                "world_m": hand.world_landmarks_m,
                "in_crop": crop.place_in(hand.image_from_crop, hand.keypoints_px).astype(np.float32),
                "features": hand.features.astype(np.float16),
                "pooled_features": hand.pooled_features.astype(np.float16),
                "joints_m": scene.joints_m.astype(np.float32),
                "vertices_m": (scene.vertices_m - scene.joints_m[WRIST]).astype(np.float16),
            }
            tries = 0


def write_shard(path: Path, seed: int, shard: int, held_out: bool, natural: bool = False) -> None:
    """Writes a file of `SHARD_SIZE` views. A temporary name prevents incomplete files after an interruption."""
    source = records(seed, shard, held_out, natural)
    rows = [next(source) for _ in range(SHARD_SIZE)]
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(file, **{name: np.stack([row[name] for row in rows]) for name in rows[0]})
    partial.rename(path)
    print(json.dumps({"file": str(path), "found": round(len(rows) / int(sum(row["tries"] for row in rows)), 3)}), flush=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--held-out", action="store_true", help="scenes of the held-out set")
    parser.add_argument("--natural", action="store_true", help="natural poses and views of hands")
    args = parser.parse_args()
    kind = "held_out" if args.held_out else "train"
    args.out.mkdir(parents=True, exist_ok=True)
    for shard in range(args.count // SHARD_SIZE):
        path = args.out / f"{kind}_{args.seed}_{shard:04d}.npz"
        if not path.exists():
            write_shard(path, args.seed, shard, args.held_out, args.natural)


if __name__ == "__main__":
    main()
