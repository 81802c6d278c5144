"""Converts the spread of hypotheses to the covariance of the error. The conversion is fitted on hands outside the training set.

The spread of samples may be smaller or larger than the error of their mean, and eight samples give a poor covariance. So a
covariance has two parts. The first part is the mean square error of the hand. Its logarithm is linear in the logarithm of the
mean spread and in the signs of error (`error_signs`). The second part is the distribution over joints and directions. This part
is the spread with a gain and a residual for each joint, as in nonhomogeneous Gaussian regression (Gneiting, Raftery, Westveld and
Goldman 2005). `models_train.calibrate` fits the two parts.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hand_mesh_ros.core.cascade.aggregate import Spread
from hand_mesh_ros.core.models.onnx_model import ModelError
from hand_mesh_ros.core.topology import N_JOINTS
from hand_mesh_ros.core.uncertainty.error_signs import SIGNS

# A 3D Gaussian has 90 % of its probability within this number of standard deviations: the root of the 90 % quantile of chi^2 with
# 3 degrees of freedom.
RADIUS_OF_90_PERCENT = 2.5003

FILE_NAME = "calibration.json"
# The typical spread has the same weight as this number of samples.
_TYPICAL_SAMPLES = 4.0
_LEAST = 1e-12


@dataclass(frozen=True)
class SpreadModel:
    """Covariances of J quantities in D dimensions from their sample covariances."""

    log_size: np.ndarray  # (2 + signs,) coefficients: constant, log of the mean spread, each sign of error
    typical_signs: np.ndarray  # (signs,) mean over hands, used for unknown signs
    typical: np.ndarray  # (J,) variance per axis of samples, mean over hands
    gain: np.ndarray  # (J,) of the spread relative to its mean over the hand
    residual: np.ndarray  # (J,) error that is not in the spread, relative to the mean square error of the hand

    def covariance(self, sample: np.ndarray, n_samples: float, signs: np.ndarray) -> np.ndarray:
        """Covariances of the error, with the shape of `sample`.

        Args:
            sample: (J, D, D) unbiased sample covariances, or (J,) variances. J may be any number if the model has one entry.
            n_samples: number of samples, 1 or more; fewer samples have less weight relative to the typical spread.
            signs: (signs,) of error, from `error_signs.signs`.
        """
        unit = np.eye(sample.shape[-1]) if sample.ndim > 1 else 1.0
        gain, residual, typical = (
            values.reshape(-1, *[1] * (sample.ndim - 1)) for values in (self.gain, self.residual, self.typical)
        )
        spread = shrunk(sample, n_samples, typical * unit)
        mean = mean_variance(spread)
        return self.mean_square(mean, signs) * (gain * spread / mean + residual * unit)

    def mean_square(self, mean_spread: float, signs: np.ndarray) -> float:
        """Expected mean square error per axis, for the mean variance of the spread and the signs of error."""
        known = np.where(np.isfinite(signs), signs, self.typical_signs)
        return float(np.exp(self.log_size @ [1.0, np.log(mean_spread), *known]))


def shrunk(sample: np.ndarray, n_samples: np.ndarray | float, typical: np.ndarray) -> np.ndarray:
    """Sample covariances, shrunk towards typical covariances of the same shape. Fewer samples are shrunk more."""
    share = (n_samples - 1) / (n_samples - 1 + _TYPICAL_SAMPLES)
    return share * sample + (1 - share) * typical


def mean_variance(spread: np.ndarray) -> float:
    """Mean variance over quantities and axes, from covariances (J, D, D) or variances (J,)."""
    n_axes = spread.shape[-1] if spread.ndim > 1 else 1
    total = spread.trace(axis1=1, axis2=2).sum() if spread.ndim > 1 else spread.sum()
    return float(total) / (n_axes * len(spread)) + _LEAST


@dataclass(frozen=True)
class HandCovariances:
    """Covariances of the errors of one hand of average adult size, camera axes."""

    articulation_m2: np.ndarray  # (21, 3, 3) after similarity alignment
    relative_m2: np.ndarray  # (21, 3, 3) about the hand's centre
    rotation: np.ndarray  # (3, 3) rad^2 of the wrist frame
    vertices_m2: np.ndarray  # (V,) per axis, after similarity alignment


@dataclass(frozen=True)
class Calibration:
    """Spread models of all published quantities with an uncertainty."""

    articulation: SpreadModel  # 21 joints after similarity alignment of the hand, m^2
    relative: SpreadModel  # 21 joints about the hand's centre, in camera axes, m^2
    rotation: SpreadModel  # 1: the wrist frame, rad^2
    vertices: SpreadModel  # 1 for all vertices after similarity alignment, m^2 per axis
    location_gain: float  # factor of the covariance that `by_rays` computes

    def covariances(self, spread: Spread, signs: np.ndarray) -> HandCovariances:
        """Covariances of the errors of a hand, from the spread of its hypotheses and the signs of error (6,)."""
        evidence = (spread.n_samples, signs)
        return HandCovariances(
            articulation_m2=self.articulation.covariance(spread.articulation_m2, *evidence),
            relative_m2=self.relative.covariance(spread.relative_m2, *evidence),
            rotation=self.rotation.covariance(spread.rotation[None], *evidence)[0],
            vertices_m2=self.vertices.covariance(spread.vertices_m2, *evidence),
        )

    @classmethod
    def load(cls, path: Path, models: str) -> "Calibration":
        """Reads a calibration file.

        Args:
            path: the file.
            models: digest of the models in use, `model_id.cascade_id`.

        Raises:
            ModelError: if the file is missing, damaged, or was fitted for other models.
        """
        advice = "fit it with python -m models_train.calibrate"
        try:
            content = json.loads(path.read_text())
            fitted_for = content["models"]
            parts = {name: _model(content[name], size) for name, size in SIZES.items()}
            location_gain = float(content["location_gain"])
        except FileNotFoundError as error:
            raise ModelError(f"calibration file {path} is missing; {advice}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"calibration file {path} is damaged: {error!r}; {advice}") from error
        if fitted_for != models:
            raise ModelError(f"calibration file {path} was fitted for models {fitted_for}, these are {models}; {advice}")
        return cls(**parts, location_gain=location_gain)

    def to_json(self, models: str) -> str:
        """Content of the file, for models with this digest."""
        parts = {name: {key: _rounded(values) for key, values in vars(getattr(self, name)).items()} for name in SIZES}
        return json.dumps({"models": models, **parts, "location_gain": float(f"{self.location_gain:.4g}")}) + "\n"


SIZES = {"articulation": N_JOINTS, "relative": N_JOINTS, "rotation": 1, "vertices": 1}


def uncalibrated() -> Calibration:
    """A calibration that uses the spread as the error: the start of a fit."""
    nothing, log_size = np.zeros(len(SIGNS)), np.array([0.0, 1.0, *[0.0] * len(SIGNS)])
    plain = {
        name: SpreadModel(log_size, nothing, np.zeros(size), np.ones(size), np.full(size, 1e-6)) for name, size in SIZES.items()
    }
    return Calibration(**plain, location_gain=1.0)


def _model(values: dict[str, Any], size: int) -> SpreadModel:
    lengths = {"log_size": 2 + len(SIGNS), "typical_signs": len(SIGNS), "typical": size, "gain": size, "residual": size}
    arrays = {key: np.asarray(values[key], np.float64) for key in lengths}
    for key, array in arrays.items():
        is_sound = array.shape == (lengths[key],) and np.all(np.isfinite(array))
        if not is_sound or (lengths[key] == size and np.any(array < 0)):
            raise ValueError(f"{key} must be {lengths[key]} finite numbers, but is {array.tolist()}")
    return SpreadModel(**arrays)


def _rounded(values: np.ndarray) -> list[float]:
    return [float(f"{value:.4g}") for value in values]
