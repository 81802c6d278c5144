"""Fits the error covariance to the spread of the hypotheses: `python -m models_train.calibrate --views runs/natural`.

The shipped chain runs on stored held-out views of natural hands (`models_train.data.detected --held-out --natural`). The
benchmarks use other views. Run this command after every change of a model.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.stats import chi2

from hand_mesh_ros.core.cascade import aggregate
from hand_mesh_ros.core.chain import HandChain
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.detect.seen_hand import see
from hand_mesh_ros.core.geometry import rigid
from hand_mesh_ros.core.models.model_id import cascade_id
from hand_mesh_ros.core.place.user_size import PRIOR
from hand_mesh_ros.core.stage_timer import StageTimer
from hand_mesh_ros.core.topology import WRIST
from hand_mesh_ros.core.types import HandDetection
from hand_mesh_ros.core.uncertainty import calibration, error_signs
from hand_mesh_ros.core.uncertainty.calibration import Calibration, SpreadModel
from models_train import onnx_file
from models_train.data.shards import FRAME, RECIPE, StoredViews

_LEVEL = 0.9
_EVERY_VERTEX = 20


@dataclass(frozen=True)
class Residuals:
    """Errors (n, J, D) of n hands, their sample covariances (n, J, D, D), numbers of samples (n,), and signs (n, signs)."""

    error: np.ndarray
    sample: np.ndarray
    n_samples: np.ndarray
    signs: np.ndarray


def detections(stored: StoredViews, count: int) -> Iterator[tuple[HandDetection, np.ndarray]]:
    """Yields the first `count` stored views as detections, and their true joints (21, 3) float64."""
    rows = np.arange(min(count, len(stored)))
    seen = stored.without_features(rows, np.ones((len(rows), 3)))
    for row, joints_m in zip(rows, seen.joints_m.astype(np.float64)):
        yield stored.detection(row), joints_m


def observe(chain: HandChain, stored: StoredViews, count: int) -> dict[str, Residuals]:
    """Returns the errors of the chain on the first `count` stored views, by the names of `Calibration`'s spread models."""
    lists: dict[str, list[tuple[np.ndarray, np.ndarray, float, np.ndarray]]] = {}
    surfaces_m = stored.vertices_m(np.arange(min(count, len(stored))))
    for (detection, joints_m), vertices_m in zip(detections(stored, count), surfaces_m):
        view = see(chain.corrector(detection), FRAME)
        hand = chain.aggregate(view, StageTimer())
        onto_hand = rigid.align(joints_m, hand.joints_m, with_scale=True)
        of_vertices = rigid.transform(vertices_m + joints_m[WRIST], *onto_hand) - hand.vertices_m
        errors = {
            "articulation": rigid.transform(joints_m, *onto_hand) - hand.joints_m,
            "relative": joints_m - joints_m.mean(0) - (hand.joints_m - hand.joints_m.mean(0)),
            "rotation": aggregate.rotation_vectors(joints_m[None], hand.joints_m),
            "vertices": of_vertices[::_EVERY_VERTEX],
        }
        spread = hand.spread
        samples = {
            "articulation": spread.articulation_m2,
            "relative": spread.relative_m2,
            "rotation": spread.rotation[None],
            "vertices": spread.vertices_m2[::_EVERY_VERTEX, None, None] * np.eye(3),
        }
        signs = error_signs.signs(view, hand.joints_m)
        for name, error in errors.items():
            lists.setdefault(name, []).append((error, samples[name], spread.n_samples, signs))
    return {name: Residuals(*(np.stack(part) for part in zip(*items))) for name, items in lists.items()}


def place_errors(chain: HandChain, stored: StoredViews, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the position errors (n, 3) of the hand centres, at true size, and their covariances (n, 3, 3) by `chain`."""
    errors, covariances = [], []
    for detection, joints_m in detections(stored, count):
        view = see(chain.corrector(detection), FRAME)
        hand, spread = chain.shape(view, StageTimer())
        location = chain.place(hand, spread, view, FRAME, PRIOR)
        errors.append((hand.joints_m + location.translation_m - joints_m).mean(0))
        covariances.append(location.covariance_m2)
    return np.array(errors), np.array(covariances)


def fit(observed: Residuals, pooled: bool) -> SpreadModel:
    """Fits a spread model. A regression over hands gives the size. The likelihood gives gain and residual.

    Gain and residual are per quantity, or common to all quantities if `pooled`. Errors have wider tails than Gaussians, but users
    rely on the share of errors inside. A last step therefore scales gain and residual so that the 90 % ellipsoid holds 90 %.
    """
    size = observed.error.shape[-1]
    variance = np.trace(observed.sample, axis1=-2, axis2=-1) / size
    typical = variance.mean(0) if not pooled else np.full(1, variance.mean())
    n_samples = observed.n_samples[:, None, None, None]
    spread = calibration.shrunk(observed.sample, n_samples, typical[:, None, None] * np.eye(size))
    mean = np.array([calibration.mean_variance(hand) for hand in spread])
    typical_signs = np.nanmean(observed.signs, axis=0)
    told = np.where(np.isfinite(observed.signs), observed.signs, typical_signs)
    predictors = np.column_stack([np.ones(len(mean)), np.log(mean), told])
    squared = (observed.error**2).mean((1, 2))
    log_size = np.linalg.lstsq(predictors, np.log(squared + 1e-12), rcond=None)[0]
    # The mean of logarithms is less than the logarithm of the mean. This line corrects the difference.
    log_size[0] += np.log(squared.mean() / np.exp(predictors @ log_size).mean())
    expected = np.exp(predictors @ log_size)[:, None, None]
    error, shape = observed.error / np.sqrt(expected), spread / mean[:, None, None, None]
    groups = [np.arange(error.shape[1])] if pooled else [np.array([quantity]) for quantity in range(error.shape[1])]
    pairs = [_gain_and_residual(error[:, group].reshape(-1, size), shape[:, group].reshape(-1, size, size)) for group in groups]
    gain, residual = (np.array(values) for values in zip(*pairs))
    return SpreadModel(log_size, typical_signs, typical, gain, residual)


def _gain_and_residual(error: np.ndarray, shape: np.ndarray) -> tuple[float, float]:
    """Returns the most likely gain and residual of errors (n, D) with covariances gain * shape (n, D, D) + residual."""
    # In its own axes each covariance is diagonal for every gain and residual.
    variance, axes = np.linalg.eigh(shape)
    along2 = np.einsum("nrd,nr->nd", axes, error) ** 2

    def loss(log_parameters: np.ndarray) -> float:
        gain, residual = np.exp(log_parameters)
        stated = gain * variance + residual
        return float((along2 / stated + np.log(stated)).mean())

    gain, residual = np.exp(minimize(loss, np.log([0.5, 0.5]), bounds=[(-7, 4)] * 2).x)
    factor = inflation(error, gain * shape + residual * np.eye(error.shape[-1]))
    return float(gain * factor), float(residual * factor)


def inflation(error: np.ndarray, covariance: np.ndarray) -> float:
    """Returns the factor on covariances (n, D, D) that makes the 90 % ellipsoid hold 90 % of the errors (n, D)."""
    distance = np.einsum("nr,nr->n", error, np.linalg.solve(covariance, error[..., None])[..., 0])
    return float(np.quantile(distance, _LEVEL) / chi2.ppf(_LEVEL, error.shape[-1]))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--views", type=Path, required=True, help="folder of stored views")
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--count", type=int, default=2000)
    args = parser.parse_args()
    stored = StoredViews(args.views, "held_out", with_surface=True)
    config = PipelineConfig(models_dir=str(args.models), device="cpu")
    chain = HandChain(args.models, config, calibration.uncalibrated())
    observed = observe(chain, stored, args.count)
    spreads = {name: fit(residuals, pooled=name == "vertices") for name, residuals in observed.items()}
    chain.calibration = Calibration(**spreads, location_gain=1.0)
    done = replace(chain.calibration, location_gain=inflation(*place_errors(chain, stored, args.count)))
    path = args.models / calibration.FILE_NAME
    path.write_text(done.to_json(cascade_id(args.models)))
    command = f"python -m models_train.calibrate --views VIEWS --count {args.count}"
    onnx_file.record(path, {"licence": "Apache-2.0; measured on synthetic hands", "command": command, "data": RECIPE})


if __name__ == "__main__":
    main()
