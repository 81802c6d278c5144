"""First stage of the cascade: samples skeletons by diffusion, conditioned on the keypoints."""

from pathlib import Path

import numpy as np

from hand_mesh_ros.core.cascade.view import FEATURES_SHAPE, JOINT_UNIT_M, Cues, HandView, look_at_hand
from hand_mesh_ros.core.config import JointConfig
from hand_mesh_ros.core.geometry import rigid, rotations
from hand_mesh_ros.core.hand import model as hand_model
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.models.noise import SCHEDULE
from hand_mesh_ros.core.models.onnx_model import OnnxModel
from hand_mesh_ros.core.models.sampler import ddim
from hand_mesh_ros.core.topology import FINGER_JOINTS, N_JOINTS, WRIST, joint_order_digest
from hand_mesh_ros.core.types import Hypotheses, SeenHand, ViewEmbedding

# Decrease of the log weight per relative distance from the other hypotheses.
_CONSENSUS = 2.0
# Share of the deviation from average proportions that a sampled skeleton keeps. The training moves the joints at random, so that
# the nets trust keypoints more than proportions. The samples therefore vary more than real hands. Chosen on rendered hands.
_KEPT_DEVIATION = 0.75
# Share of the way to the orientation of the detector's world landmarks. The nets do not use these landmarks, whose shape is worse
# than that of the samples. The error of their orientation is partly independent. Chosen on rendered natural hands.
_LANDMARK_SHARE = 0.15
# Joints of each finger with the wrist before them, (5, 5).
_CHAINS = np.insert(FINGER_JOINTS, 0, WRIST, axis=1)
ENCODER_FILE, DENOISER_FILE = "joint_encoder.onnx", "joint_denoiser.onnx"


class JointSampler:
    """Samples skeletons of one detected hand."""

    def __init__(self, models_dir: Path, config: JointConfig) -> None:
        """Loads the hand model, the view encoder and the denoiser.

        Raises:
            ModelError: if a file is missing, damaged, not a file of this package, or does not match the other files.
        """
        self._average_m = HandModel.load(models_dir / hand_model.FILE_NAME).bone_lengths_m[FINGER_JOINTS - 1]
        expected = {"kind": "joint_encoder", "joint_order": joint_order_digest()}
        self._encoder = OnnxModel(models_dir / ENCODER_FILE, expected, config.device, config.threads)
        expected |= {"kind": "joint_denoiser", "schedule": SCHEDULE, "view_space": self._encoder.fact("view_space")}
        self._denoiser = OnnxModel.fastest(models_dir / DENOISER_FILE, expected, config.device, config.threads)
        # The encoder gets only the cues from its training. Other cues would have an unknown influence.
        self._learned = self._encoder.metadata.get("cues", "depth world image").split()
        self._uses_image = config.image_features and "image" in self._learned
        self.reconfigure(config)

    def reconfigure(self, config: JointConfig) -> None:
        """Uses another number of hypotheses or steps from now on."""
        self._steps = config.joint_steps
        # Every image uses the same noise, so that the hypotheses move smoothly with the hand. Each noise vector is used with both
        # signs, so that the mean of few hypotheses is close to the mean of many hypotheses.
        half = np.random.default_rng(config.seed).standard_normal(((config.n_hypotheses + 1) // 2, 3 * N_JOINTS))
        self._noise = np.concatenate([half, -half])[: config.n_hypotheses].astype(np.float32)

    @property
    def metadata(self) -> dict[str, str]:
        """Metadata of the denoiser's model file."""
        return self._denoiser.metadata

    @property
    def models(self) -> tuple[OnnxModel, ...]:
        """The loaded model files."""
        return self._encoder, self._denoiser

    @property
    def provider(self) -> str:
        """Name of the execution provider that runs the denoiser."""
        return self._denoiser.provider

    def __call__(self, seen: SeenHand) -> Hypotheses:
        """K skeletons of the hand, relative to the wrist, of average adult size."""
        view = look_at_hand(self._cues(seen))
        embedding = self._embed(view, seen)
        joints_m = self._sample(embedding) * JOINT_UNIT_M @ view.virtual_from_camera
        joints_m = turned_to(seen.world_landmarks_m, plausible_bones(joints_m, self._average_m))
        embedded = ViewEmbedding(embedding[0], view.virtual_from_camera)
        return Hypotheses(joints_m.astype(np.float32), _consensus(joints_m).astype(np.float32), embedded)

    def _cues(self, seen: SeenHand) -> Cues:
        """The cues of the hand that the encoder was trained with."""
        has_depth = np.all(np.isfinite(seen.depth))
        has_world = "world" in self._learned and np.all(np.isfinite(seen.world_landmarks_m))
        return Cues(
            rays=seen.rays,
            confidence=seen.confidence,
            depth=seen.depth if has_depth else np.zeros(N_JOINTS),
            world_m=seen.world_landmarks_m if has_world else np.zeros((N_JOINTS, 3)),
            in_crop=seen.in_crop,
            given=np.array([has_depth, has_world, self._uses_image and seen.features is not None], float),
        )

    def _embed(self, view: HandView, seen: SeenHand) -> np.ndarray:
        """Embedding (1, W) of the view, with the image features if they are used."""
        inputs = {"condition": view.condition[None]}
        if "features" in self._encoder.input_names:
            features = seen.features if self._uses_image and seen.features is not None else np.zeros(FEATURES_SHAPE)
            inputs["features"] = features[None].astype(np.float32)
        return self._encoder(**inputs)["view_embedding"]

    def _sample(self, embedding: np.ndarray) -> np.ndarray:
        """Skeletons (K, 21, 3) in units of `JOINT_UNIT_M`, in the virtual camera, for one embedded view (1, W)."""

        def denoise(noisy: np.ndarray, time: float) -> np.ndarray:
            times = np.full(1, time, np.float32)
            return self._denoiser(noisy_joints=noisy, time=times, view_embedding=embedding)["joints"]

        return ddim(denoise, self._noise, self._steps).reshape(-1, N_JOINTS, 3)


def plausible_bones(joints_m: np.ndarray, average_m: np.ndarray) -> np.ndarray:
    """Skeletons (K, 21, 3) with more plausible bone lengths, of average adult size, with the wrist in the origin.

    The directions of the bones stay. One image does not show the size, so the sum of the bones becomes that of an average hand.

    Args:
        joints_m: (K, 21, 3).
        average_m: (5, 4) bone lengths of an average hand, per finger from the wrist to the tip.
    """
    bones = np.diff(joints_m[:, _CHAINS], axis=2)
    lengths = np.maximum(rotations.lengths(bones), 1e-6)
    deviation = np.log(lengths / average_m)
    deviation -= deviation.mean((1, 2), keepdims=True)
    plausible = average_m * np.exp(_KEPT_DEVIATION * deviation)
    plausible *= average_m.sum() / plausible.sum((1, 2), keepdims=True)
    placed = np.zeros_like(joints_m)
    placed[:, FINGER_JOINTS] = np.cumsum(bones * (plausible / lengths)[..., None], axis=2)
    return placed


def turned_to(world_landmarks_m: np.ndarray, joints_m: np.ndarray) -> np.ndarray:
    """Skeletons (K, 21, 3), all turned about the wrist by the same small part of the way to the detector's landmarks.

    Args:
        world_landmarks_m: (21, 3) in camera axes, of any size; NaN if there are none. Then the skeletons stay.
        joints_m: (K, 21, 3) with the wrist in the origin.
    """
    if not np.all(np.isfinite(world_landmarks_m)):
        return joints_m
    to_landmarks = rigid.align(joints_m.mean(0), np.asarray(world_landmarks_m, np.float64))[0]
    return joints_m @ rotations.from_vector(_LANDMARK_SHARE * rotations.to_vector(to_landmarks)).T


def _consensus(joints_m: np.ndarray) -> np.ndarray:
    """Log weight of each skeleton, (K,), from skeletons (K, 21, 3). A skeleton nearer to the other skeletons gets more weight.

    The other skeletons are samples of the possible truth. So the mean distance to the other skeletons estimates the error of a
    skeleton. A sample has no other information about its error, because all samples come from the same image.
    """
    distance = rotations.lengths(joints_m[:, None] - joints_m[None]).mean(-1).sum(-1)
    return -_CONSENSUS * distance / max(distance.mean(), 1e-9)
