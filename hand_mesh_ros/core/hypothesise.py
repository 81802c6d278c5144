"""First stage of the cascade: skeletons that explain the keypoints, sampled by diffusion."""

from pathlib import Path

import numpy as np

from hand_mesh_ros.core import camera, crop, hand_model
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.hand_model import HandModel, bone_lengths
from hand_mesh_ros.core.mirror import mirror_points
from hand_mesh_ros.core.noise import SCHEDULE, TRAINING_STEPS
from hand_mesh_ros.core.onnx_model import OnnxModel
from hand_mesh_ros.core.sample import ddim
from hand_mesh_ros.core.topology import N_JOINTS, joint_order_digest
from hand_mesh_ros.core.types import Frame, HandDetection, Hypotheses, Sight
from hand_mesh_ros.core.view import FEATURES_SHAPE, JOINT_UNIT_M, Cues, HandView, look_at_hand

# Log weight per relative distance from the other hypotheses.
_CONSENSUS = 2.0
ENCODER_FILE, DENOISER_FILE = "joint_encoder.onnx", "joint_denoiser.onnx"


class JointSampler:
    """Samples skeletons of one detected hand; works in right-hand space throughout."""

    def __init__(self, models_dir: Path, config: PipelineConfig) -> None:
        """Loads the hand model, the view encoder and the denoiser.

        Raises:
            ModelError: if one of them is missing, damaged, foreign, or made for another of them.
        """
        self._bone_sum_m = HandModel.load(models_dir / hand_model.FILE_NAME).bone_lengths_m.sum()
        expected = {"kind": "joint_encoder", "joint_order": joint_order_digest()}
        self._encoder = OnnxModel(models_dir / ENCODER_FILE, expected, config.device, config.threads)
        expected |= {"kind": "joint_denoiser", "schedule": SCHEDULE, "view_space": self._encoder.metadata.get("view_space", "")}
        self._denoiser = OnnxModel(models_dir / DENOISER_FILE, expected, config.device, config.threads)
        # What an encoder never learned from is withheld, so that it cannot have an influence.
        self._learned = self._encoder.metadata.get("cues", "depth world image").split()
        self._looks = config.image_features and "image" in self._learned
        self.reconfigure(config)

    def reconfigure(self, config: PipelineConfig) -> None:
        """Goes on with another number of hypotheses or steps."""
        self._steps = config.joint_steps
        # The same noise for every image: hypotheses move with the hand instead of flickering. Each noise comes with its opposite,
        # so that a few hypotheses have nearly the mean of many.
        half = np.random.default_rng(config.seed).standard_normal(((config.n_hypotheses + 1) // 2, 3 * N_JOINTS))
        self._noise = np.concatenate([half, -half])[: config.n_hypotheses]

    @property
    def metadata(self) -> dict[str, str]:
        """What the model file states about itself."""
        return self._denoiser.metadata

    @property
    def provider(self) -> str:
        """Name of the execution provider that runs the denoiser."""
        return self._denoiser.provider

    def __call__(self, detection: HandDetection, frame: Frame) -> Hypotheses:
        """K skeletons of the hand as it is, relative to its wrist, of average adult size.

        Args:
            detection: the hand.
            frame: for its camera.
        """
        is_left = detection.handedness == "left"
        cues = self._cues(detection, frame, is_left)
        view = look_at_hand(cues)
        embedding = self._embed(view, detection)
        joints_m = self._sample(embedding, *self._start(view)) * JOINT_UNIT_M @ view.virtual_from_camera
        joints_m -= joints_m[:, :1]
        # Size cannot be seen in one image. The model was trained on hands of average size and keeps it only nearly.
        joints_m *= self._bone_sum_m / bone_lengths(joints_m).sum(-1)[:, None, None]
        if is_left:
            joints_m = mirror_points(joints_m)
        sight = Sight(embedding[0], view.virtual_from_camera)
        return Hypotheses(joints_m.astype(np.float32), _consensus(joints_m).astype(np.float32), sight)

    def _embed(self, view: HandView, detection: HandDetection) -> np.ndarray:
        """(1, W) of the view, with the image features of the detection if they are to be used."""
        inputs = {"condition": view.condition[None]}
        if "features" in self._encoder.input_names:
            shown = self._looks and detection.features is not None
            inputs["features"] = (detection.features if shown else np.zeros(FEATURES_SHAPE))[None].astype(np.float32)
        return self._encoder(**inputs)["view_embedding"]

    def _cues(self, detection: HandDetection, frame: Frame, is_left: bool) -> Cues:
        """What the detector says, as of a right hand."""
        camera_matrix = frame.working_camera_matrix
        rays = camera.rays_from_pixels(detection.keypoints_px, camera_matrix, frame.distortion)
        depth, world_m = detection.keypoint_depth_px / camera_matrix[0, 0], detection.world_landmarks_m
        has_depth, has_world = np.all(np.isfinite(depth)), np.all(np.isfinite(world_m))
        looks = self._looks and detection.features is not None
        return Cues(
            rays=mirror_points(rays) if is_left else rays,
            confidence=detection.keypoint_conf,
            depth=depth if has_depth else np.zeros(N_JOINTS),
            world_m=(mirror_points(world_m) if is_left else world_m) if has_world else np.zeros((N_JOINTS, 3)),
            in_crop=crop.place_in(detection.image_from_crop, detection.keypoints_px),
            given=np.array([has_depth, has_world and "world" in self._learned, looks], float),
        )

    def _start(self, view: HandView) -> tuple[np.ndarray, float]:
        """What the sampling begins with, (K, 63), and its time; `benchmarks.temporal` tries others."""
        return self._noise, TRAINING_STEPS

    def _sample(self, embedding: np.ndarray, start: np.ndarray, start_time: float) -> np.ndarray:
        views = np.tile(embedding, (len(start), 1))

        def denoise(noisy: np.ndarray, time: float) -> np.ndarray:
            times = np.full(len(noisy), time, np.float32)
            return self._denoiser(noisy_joints=noisy.astype(np.float32), time=times, view_embedding=views)["joints"]

        return ddim(denoise, start, self._steps, start_time).reshape(-1, N_JOINTS, 3)


def _consensus(joints_m: np.ndarray) -> np.ndarray:
    """Log weight of each skeleton, (K,), from (K, 21, 3): the nearer to the others, the smaller the error to be expected of it.

    The others are draws of where the truth may be, so the mean distance to them estimates that error. No sample can tell more of
    itself: all come from the same image.
    """
    distance = np.linalg.norm(joints_m[:, None] - joints_m[None], axis=-1).mean(-1).sum(-1)
    return -_CONSENSUS * distance / max(distance.mean(), 1e-9)
