"""Makes training views of a data set with the real detector, for `models_train.train joints --real-views`.

    python -m models_train.datasets.views --dataset freihand --root FreiHAND_pub_v2 --out runs/real
    python -m models_train.datasets.views --dataset interhand --root InterHand2.6M --limit 50000 --out runs/real

Several data sets may write to the same folder. Each sample becomes a right hand of average adult size: a left hand is mirrored,
and the whole scene is scaled about the camera, which changes no pixel. The keypoints are those of the detector, corrected as at
run time. If the detector misses the hand, looks at another object, or reports the wrong side, the training puts modelled
keypoints around the truth. Hands without all 21 joints are left out. The weights of a training on these views are for
non-commercial use only.

`--pictures` also stores the crop of each hand, and a surface of the shipped hand model that fits the annotated skeleton.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.detect import crop
from hand_mesh_ros.core.detect.detector import HandDetector
from hand_mesh_ros.core.detect.seen_hand import see
from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.geometry.rays import ray_extent
from hand_mesh_ros.core.hand.model import bone_lengths
from hand_mesh_ros.core.models.onnx_model import ModelError
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.topology import N_JOINTS, WRIST
from hand_mesh_ros.core.types import Frame, HandDetection
from models_train.data.real_pictures import RealPicture
from models_train.data.real_views import RealView, write_shard
from models_train.datasets import select
from models_train.datasets.formats.sample import DatasetSample
from models_train.datasets.formats.sources import NON_COMMERCIAL, SOURCES, DatasetError
from models_train.datasets.predict import find, padded_frame

# A file with pictures has about 75 MB.
SHARD_SIZE, PICTURE_SHARD_SIZE = 2000, 500
# With a larger keypoint error than this share of the hand's extent, the detector looks at another object.
_ASTRAY = 0.7


def view_of(pipeline: HandMeshPipeline, sample: DatasetSample, with_picture: bool = False) -> RealView:
    """Returns the view of a sample, a `RealPicture` if `with_picture`.

    Raises:
        DatasetError: if the picture is missing or damaged.
        ValueError: if the skeleton of the sample is not complete.
    """
    if sample.joints_m is None or not sample.is_complete:
        raise ValueError(f"sample {sample.name} has no complete skeleton")
    right_m = sample.joints_m if sample.handedness == "right" else mirror_points(sample.joints_m)
    joints_m = right_m * (pipeline.hand_model.bone_lengths_m.sum() / bone_lengths(right_m).sum())
    frame = padded_frame(sample)
    detection = _found(pipeline.detector, frame, sample)
    if detection is None:
        unseen = np.zeros(N_JOINTS)
        parts = (joints_m[:, :2] / joints_m[:, 2:], unseen, unseen)
    else:
        seen = see(pipeline.chain.corrector(detection), frame)
        parts = (seen.rays, seen.confidence, seen.depth)
    view = (*(part.astype(np.float32) for part in (joints_m, *parts)), np.bool_(detection is not None))
    if not with_picture:
        return RealView(*view)
    relative_m = joints_m - joints_m[WRIST]
    surface_m = pipeline.chain.decoder(relative_m[None])[0].astype(np.float16)
    return RealPicture(*view, crop.cut(frame.rgb, _crop_of(detection, frame, sample)), surface_m)


def _found(detector: HandDetector, frame: Frame, sample: DatasetSample) -> HandDetection | None:
    """The detection of the hand of a sample; None if it is on another object or has the wrong side."""
    detection = find(detector, frame, sample)
    if detection is None or detection.handedness != sample.handedness:
        return None
    truth = project(sample.joints_m, frame.camera_matrix)
    error = np.linalg.norm(detection.keypoints_px - truth, axis=-1).mean()
    return detection if error < _ASTRAY * ray_extent(truth) else None


def _crop_of(detection: HandDetection | None, frame: Frame, sample: DatasetSample) -> np.ndarray:
    """image_from_crop, (2, 3), of the detector, or around the true keypoints if it missed the hand. Left hands are mirrored."""
    if detection is not None:
        return detection.image_from_crop
    square = crop.around_keypoints(project(sample.joints_m, frame.camera_matrix))
    return crop.mirror(square) if sample.handedness == "left" else square


def _shards(views: Iterator[RealView], size: int) -> Iterator[list[RealView]]:
    while shard := list(islice(views, size)):
        yield shard


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line. Returns 0, or 2 for input that cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    select.add_options(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of the views")
    parser.add_argument("--pictures", action="store_true", help="store the pictures and surfaces too, for the graph diffusion")
    given = parser.parse_args(arguments)
    try:
        pipeline = HandMeshPipeline(PipelineConfig(threads=1))
        samples = select.samples(given, is_training=True, with_vertices=False)
        views = (view_of(pipeline, sample, given.pictures) for sample in samples if sample.is_complete)
        given.out.mkdir(parents=True, exist_ok=True)
        for number, shard in enumerate(_shards(views, PICTURE_SHARD_SIZE if given.pictures else SHARD_SIZE)):
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
