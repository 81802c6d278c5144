"""Makes training views of a data set with the real detector, for `models_train.train joints --real-views`.

    python -m models_train.datasets.views --dataset freihand --root FreiHAND_pub_v2 --out runs/real
    python -m models_train.datasets.views --dataset interhand --root InterHand2.6M --limit 50000 --out runs/real

Several data sets may write to the same folder. Each sample becomes a right hand of average adult size: a left hand is mirrored,
and the whole scene is scaled about the camera, which changes no pixel. The keypoints are those of the detector. If the detector
misses the hand, looks at another object, or reports the wrong side, the training puts modelled keypoints around the truth. Hands
without all 21 joints are left out. The weights of a training on these views are for non-commercial use only.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.detect.detector import HandDetector
from hand_mesh_ros.core.detect.seen_hand import see
from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel, bone_lengths
from hand_mesh_ros.core.models.onnx_model import ModelError, default_models_dir
from hand_mesh_ros.core.topology import N_JOINTS
from hand_mesh_ros.core.types import Frame, HandDetection
from models_train.data.real_views import RealView, write_shard
from models_train.datasets import select
from models_train.datasets.formats.sample import DatasetSample
from models_train.datasets.formats.sources import NON_COMMERCIAL, SOURCES, DatasetError
from models_train.datasets.predict import find, padded_frame

SHARD_SIZE = 2000
# With a larger keypoint error than this share of the hand's extent, the detector looks at another object.
_ASTRAY = 0.7


def view_of(detector: HandDetector, sample: DatasetSample, bone_sum_m: float) -> RealView:
    """Returns the view of a sample with all joints.

    Args:
        detector: the detector.
        sample: its joints are complete.
        bone_sum_m: sum of the bone lengths of a hand of average size.

    Raises:
        DatasetError: if the picture is missing or damaged.
    """
    if sample.joints_m is None or not sample.is_complete:
        raise ValueError(f"sample {sample.name} has no complete skeleton")
    right_m = sample.joints_m if sample.handedness == "right" else mirror_points(sample.joints_m)
    joints_m = (right_m * (bone_sum_m / bone_lengths(right_m).sum())).astype(np.float32)
    frame = padded_frame(sample)
    detection = find(detector, frame, sample)
    if detection is None or not _is_on_the_hand(detection, frame, sample):
        unseen = np.zeros(N_JOINTS, np.float32)
        return RealView(joints_m, joints_m[:, :2] / joints_m[:, 2:], unseen, unseen, np.bool_(False))
    seen = see(detection, frame)
    parts = (np.asarray(part, np.float32) for part in (seen.rays, seen.confidence, seen.depth))
    return RealView(joints_m, *parts, np.bool_(True))


def _is_on_the_hand(detection: HandDetection, frame: Frame, sample: DatasetSample) -> bool:
    truth = project(sample.joints_m, frame.camera_matrix)
    extent = np.sqrt(((truth - truth.mean(0)) ** 2).sum(-1).mean())
    error = np.linalg.norm(detection.keypoints_px - truth, axis=-1).mean()
    return detection.handedness == sample.handedness and bool(error < _ASTRAY * extent)


def _shards(views: Iterator[RealView]) -> Iterator[list[RealView]]:
    shard: list[RealView] = []
    for view in views:
        shard.append(view)
        if len(shard) == SHARD_SIZE:
            yield shard
            shard = []
    if shard:
        yield shard


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line. Returns 0, or 2 for input that cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    select.add_options(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of the views")
    given = parser.parse_args(arguments)
    try:
        models = default_models_dir()
        detector = HandDetector(models, PipelineConfig(threads=1))
        bone_sum_m = float(HandModel.load(models / FILE_NAME).bone_lengths_m.sum())
        samples = select.samples(given, is_training=True, with_vertices=False)
        views = (view_of(detector, sample, bone_sum_m) for sample in samples if sample.is_complete)
        given.out.mkdir(parents=True, exist_ok=True)
        for number, shard in enumerate(_shards(views)):
            path = given.out / f"{given.dataset}_{number:04d}.npz"
            write_shard(path, shard, SOURCES[given.dataset].title, NON_COMMERCIAL)
            found = float(np.mean([view.is_detected for view in shard]))
            print(json.dumps({"file": str(path), "views": len(shard), "found": round(found, 3)}), flush=True)
    except (DatasetError, ModelError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
