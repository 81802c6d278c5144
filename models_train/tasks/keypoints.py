"""Training of the network that corrects the keypoints and depths of the landmark model (`hand_mesh_ros.core.cascade.keypoints`).

    python -m models_train.data.detected --out runs/natural_views --count 6000 --seed 4 --natural
    python -m models_train.data.detected --out runs/natural_views --count 1000 --seed 9 --natural --held-out
    python -m models_train.train keypoints --steps 1500 --run runs/keypoints
    python -m models_train.export_onnx keypoints --run runs/keypoints

The shipped network also learned from other views: see `train` in the Makefile.

The network reads the pooled features of the landmark model, its landmarks and its world landmarks. It predicts offsets of all
landmarks. At first these offsets are zero, so the training starts from the landmark model. The network also predicts the errors
that remain in the corrected world landmarks: they are a sign of the error of the whole estimate (`error_signs`).
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hand_mesh_ros.core.cascade.keypoints import FILE_NAME, in_crop
from hand_mesh_ros.core.geometry import rigid
from hand_mesh_ros.core.geometry.camera import sight_from_camera
from hand_mesh_ros.core.topology import N_JOINTS, WRIST, joint_order_digest
from hand_mesh_ros.core.types import HandDetection
from models_train.data.shards import RECIPE, StoredViews
from models_train.data.views import crop_of
from models_train.tasks.configs import KeypointConfig
from models_train.tasks.task import Batch, Export

# Units of the network: crop pixels of keypoints and of depths, metres of world landmarks.
_UNITS = np.array([20.0, 20.0, 50.0])
_WORLD_UNIT_M = 0.02
_POOLED, _POOLED_WIDTH, _WIDTH, _DROPOUT = 1152, 128, 320, 0.2
_N_CUES = 2 * 3 * N_JOINTS
# The prediction of errors: widths, dropout, its weight in the loss, and a typical log of the mean square error [m^2].
_ERROR_POOLED_WIDTH, _ERROR_WIDTH, _ERROR_DROPOUT, _ERROR_WEIGHT, _TYPICAL_LOG_ERROR = 64, 128, 0.3, 0.05, -9.5
_LEAST_M2 = 1e-9
# Weights of the depths and the world landmarks in the loss, and the error at which the loss becomes linear.
_OTHER_WEIGHT, _LINEAR_FROM = 0.6, 0.15
# The loss of a view is divided by the error of the landmark model plus this share of the hand's extent. Otherwise hard views
# would determine the network, and it would be less accurate than the landmark model on easy ones.
_LEAST_ERROR, _TYPICAL_EXTENT_PX, _LARGEST_GAIN = 0.1, 60.0, 2.0
# Share of the correction of depths at run time. The joint stage learned with the errors of the landmark model's depths, which are
# independent of its own knowledge of hands. Chosen on rendered hands; keypoints are corrected in full.
_DEPTH_SHARE = 0.25
_TOLERANCE_PX = 0.1  # in crop pixels, fp16 storage included


class KeypointNet(nn.Module):
    """Offsets of landmarks and world landmarks, and the logarithms of the errors that remain.

    Inputs are pooled features (B, 1152) and these landmarks (B, 126). Outputs are offsets (B, 126), and the logarithms (B, 2) of
    the mean square errors per axis [m^2] of the corrected world landmarks: after similarity alignment, and about their mean.
    """

    def __init__(self, mean: torch.Tensor, spread: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("spread", spread)
        self.pooled = nn.Linear(_POOLED, _POOLED_WIDTH)
        self.hidden = nn.Linear(_POOLED_WIDTH + _N_CUES, _WIDTH)
        self.offsets = nn.Linear(_WIDTH, _N_CUES)
        self.dropout = nn.Dropout(_DROPOUT)
        self.error_pooled = nn.Linear(_POOLED, _ERROR_POOLED_WIDTH)
        self.error_hidden = nn.Linear(_ERROR_POOLED_WIDTH + 2 * _N_CUES, _ERROR_WIDTH)
        self.log_errors = nn.Linear(_ERROR_WIDTH, 2)
        self.error_dropout = nn.Dropout(_ERROR_DROPOUT)
        nn.init.zeros_(self.offsets.weight)
        nn.init.zeros_(self.offsets.bias)

    def forward(self, pooled: torch.Tensor, cues: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        pooled = ((pooled - self.mean) / self.spread).clamp(-5, 5)
        seen = self.pooled(self.dropout(pooled))
        hidden = functional.silu(self.hidden(torch.cat([cues / 5, seen], 1)))
        offsets = self.offsets(self.dropout(hidden))
        # The prediction of errors must not change the correction.
        seen = self.error_pooled(self.error_dropout(pooled))
        hidden = functional.silu(self.error_hidden(torch.cat([cues / 5, offsets.detach() / 2, seen], 1)))
        return offsets, self.log_errors(self.error_dropout(hidden)) + _TYPICAL_LOG_ERROR


class Corrector(nn.Module):
    """The exported file: corrected landmarks (B, 21, 3) in crop pixels, and log errors (B, 2) as in `KeypointNet`."""

    def __init__(self, net: KeypointNet) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("units", torch.tensor(_UNITS, dtype=torch.float32))
        self.register_buffer("shares", torch.tensor([1.0, 1.0, _DEPTH_SHARE]))

    def forward(
        self, pooled_features: torch.Tensor, landmarks: torch.Tensor, world_m: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        cues = torch.cat([(landmarks / self.units).flatten(1), world_m.flatten(1) / _WORLD_UNIT_M], 1)
        offsets, log_errors = self.net(pooled_features, cues)
        offsets = offsets[:, : 3 * N_JOINTS].reshape(-1, N_JOINTS, 3)
        return landmarks + self.shares * self.units * offsets, log_errors


class KeypointTask:
    """Regression of true joints from stored views of the real detector."""

    def __init__(self, config: KeypointConfig) -> None:
        """Reads the views.

        Raises:
            ValueError: if the folder of the views lacks views of the training set or of the held-out set.
        """
        self.config = config
        self._train, self._held_out = (self._batch(StoredViews(Path(config.views), kind)) for kind in ("train", "held_out"))
        pooled = self._train["pooled"]
        self.net = KeypointNet(pooled.mean(0), pooled.std(0) + 0.02)
        self.facts: dict[str, Any] = {"data": RECIPE, "n_views": len(pooled)}

    def train_batch(self, step: int) -> Batch:
        rng = np.random.default_rng((self.config.seed, step))
        rows = torch.from_numpy(rng.integers(len(self._train["pooled"]), size=self.config.batch_size))
        return {name: value[rows] for name, value in self._train.items()}

    def loss(self, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        offsets, log_errors = self.net(batch["pooled"], batch["cues"])
        guess = batch["cues"] + offsets
        errors = functional.smooth_l1_loss(_centred(guess), _centred(batch["truth"]), beta=_LINEAR_FROM, reduction="none")
        weights = torch.full((2, N_JOINTS, 3), _OTHER_WEIGHT)
        weights[0, :, :2] = 1.0
        correction = (errors * weights.flatten().to(errors) * batch["weight"][:, None]).mean()
        prediction = functional.mse_loss(log_errors, _log_errors(guess.detach(), batch["truth"]))
        return correction + _ERROR_WEIGHT * prediction, {"correction": correction.item(), "prediction": prediction.item()}

    def validate(self, net: KeypointNet) -> dict[str, float]:
        batch = {name: value.to(self.config.device) for name, value in self._held_out.items()}
        offsets, log_errors = net(batch["pooled"], batch["cues"])
        found = _figures(batch["cues"] + offsets, batch["truth"])
        before = _figures(batch["cues"], batch["truth"])
        true = _log_errors(batch["cues"] + offsets, batch["truth"])
        aligned, centred = (float(torch.corrcoef(torch.stack(pair))[0, 1]) for pair in zip(log_errors.T, true.T))
        found |= {"aligned_error_correlation": aligned, "centred_error_correlation": centred}
        return {"score": found["world_mm"], **found, **{f"landmark_model_{name}": value for name, value in before.items()}}

    def exports(self, net: KeypointNet) -> list[Export]:
        inputs = {
            "pooled_features": torch.randn(3, _POOLED).abs(),
            "landmarks": 112 + 50 * torch.randn(3, N_JOINTS, 3),
            "world_m": 0.05 * torch.randn(3, N_JOINTS, 3),
        }
        facts = {"kind": "keypoint_corrector", "joint_order": joint_order_digest()}
        return [Export(FILE_NAME, Corrector(net), inputs, ("corrected", "log_errors"), facts, _TOLERANCE_PX)]

    def _batch(self, stored: StoredViews) -> Batch:
        """All views of one kind: pooled features, landmarks and true joints in the units of the network, weights."""
        rows = np.arange(len(stored))
        seen = stored.without_features(rows, np.ones((len(rows), 3)))
        cues, truth = [], []
        for row, joints_m in enumerate(seen.joints_m.astype(np.float64)):
            detection = _on_plane(seen.cues.rays[row], seen.cues.depth[row], seen.cues.world_m[row], seen.cues.in_crop[row])
            cues.append(_in_units(*in_crop(detection)))
            truth.append(_in_units(*true_in_crop(joints_m, detection.image_from_crop)))
        batch = {
            "pooled": torch.from_numpy(stored.pooled_features(rows)),
            "cues": torch.from_numpy(np.stack(cues)),
            "truth": torch.from_numpy(np.stack(truth)),
        }
        batch["weight"] = _weights(batch["cues"], batch["truth"])
        return batch


def true_in_crop(joints_m: np.ndarray, plane_from_crop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns what `in_crop` returns, for true joints (21, 3) in the camera frame. The mean of the world landmarks is zero.

    Args:
        joints_m: (21, 3) in the camera frame.
        plane_from_crop: (2, 3) map from crop pixels to the plane z = 1 of the camera.
    """
    rays = joints_m[:, :2] / joints_m[:, 2:]
    along_sight = (joints_m - joints_m.mean(0)) @ sight_from_camera(rays.mean(0)).T
    depth = (along_sight[:, 2] - along_sight[WRIST, 2]) / np.linalg.norm(joints_m.mean(0))
    return in_crop(_detection(rays, depth, along_sight, plane_from_crop))


def _on_plane(rays: np.ndarray, depth: np.ndarray, world_m: np.ndarray, place_in_crop: np.ndarray) -> HandDetection:
    """Returns a stored view as a detection in an image whose pixels are the plane z = 1."""
    plane_from_crop = crop_of(rays.astype(np.float64), place_in_crop.astype(np.float64))
    return _detection(rays, depth, world_m, plane_from_crop)


def _detection(rays: np.ndarray, depth: np.ndarray, world_m: np.ndarray, plane_from_crop: np.ndarray) -> HandDetection:
    return HandDetection(rays, depth, np.ones(N_JOINTS), world_m, "right", 1.0, 1.0, plane_from_crop)


def _in_units(landmarks: np.ndarray, world_m: np.ndarray) -> np.ndarray:
    return np.concatenate([(landmarks / _UNITS).ravel(), world_m.ravel() / _WORLD_UNIT_M]).astype(np.float32)


def _parts(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Keypoints (B, 21, 2), depths (B, 21) and world landmarks (B, 21, 3) of values (B, 126) in the units of the network."""
    landmarks, world = values.reshape(-1, 2, N_JOINTS, 3).unbind(1)
    return landmarks[..., :2], landmarks[..., 2], world


def _centred(values: torch.Tensor) -> torch.Tensor:
    """The values (B, 126) with depths and world landmarks relative to their means: no cue has an absolute depth."""
    keypoints, depth, world = _parts(values)
    relative = (depth - depth.mean(1, keepdim=True))[..., None]
    return torch.cat([torch.cat([keypoints, relative], -1), world - world.mean(1, keepdim=True)], 1).flatten(1)


def _extent(keypoints: torch.Tensor) -> torch.Tensor:
    """Root mean square radius, (B,), of keypoints (B, 21, 2)."""
    return (keypoints - keypoints.mean(1, keepdim=True)).square().sum(-1).mean(1).sqrt()


def _weights(cues: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Weights (B,) of the views in the loss."""
    true, extent = _parts(truth)[0], _extent(_parts(truth)[0])
    error = (_parts(cues)[0] - true).norm(dim=-1).mean(1) / extent
    weights = 1 / (error + _LEAST_ERROR)
    size = (_TYPICAL_EXTENT_PX / _UNITS[0] / extent).clamp(1 / _LARGEST_GAIN, _LARGEST_GAIN)
    return weights / weights.mean() * size


def _figures(found: torch.Tensor, truth: torch.Tensor) -> dict[str, float]:
    """Errors of keypoints and depths relative to the hand's extent, and PA-MPJPE of the two skeletons [mm]."""
    found, truth = _centred(found), _centred(truth)
    (keypoints, depth, world), (true, true_depth, true_world) = _parts(found), _parts(truth)
    extent = _extent(true)
    true_m = _WORLD_UNIT_M * true_world.double().numpy()
    in_image = torch.cat([keypoints * _UNITS[0], depth[..., None] * _UNITS[2]], -1)
    apart = (depth - true_depth).abs().mean(1) * (_UNITS[2] / _UNITS[0])
    return {
        "keypoint_error": float(((keypoints - true).norm(dim=-1).mean(1) / extent).mean()),
        "depth_error": float((apart / extent).mean()),
        "skeleton_mm": _pa_error_mm(in_image.double().numpy(), true_m),
        "world_mm": _pa_error_mm(world.double().numpy(), true_m),
    }


def _log_errors(found: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Logarithms (B, 2) of the mean square errors per axis [m^2] of the world landmarks: aligned, and about their mean."""
    found_m, true_m = (_WORLD_UNIT_M * _parts(_centred(values))[2].detach().cpu().double().numpy() for values in (found, truth))
    aligned_m = rigid.transform(found_m, *rigid.align(found_m, true_m, with_scale=True))
    errors_m2 = np.stack([((guess_m - true_m) ** 2).mean((1, 2)) for guess_m in (aligned_m, found_m)], 1)
    return torch.from_numpy(np.log(errors_m2 + _LEAST_M2)).to(found)


def _pa_error_mm(found: np.ndarray, true_m: np.ndarray) -> float:
    aligned = rigid.transform(found, *rigid.align(found, true_m, with_scale=True))
    return float(1e3 * np.linalg.norm(aligned - true_m, axis=-1).mean())
