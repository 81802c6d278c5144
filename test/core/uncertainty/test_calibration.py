"""Spread models on Gaussians whose truth is known, and the file they are read from."""

import json

import numpy as np
import pytest

from hand_mesh_ros.core.models.onnx_model import ModelError
from hand_mesh_ros.core.uncertainty import calibration
from hand_mesh_ros.core.uncertainty.calibration import Calibration, SpreadModel
from hand_mesh_ros.core.uncertainty.error_signs import SIGNS

NO_SIGNS = np.zeros(len(SIGNS))


def model(gain: float, residual: float, typical: float) -> SpreadModel:
    """Takes the mean spread for the mean square error; signs double it by each unit."""
    log_size = np.array([0.0, 1.0, *[np.log(2.0)] * len(SIGNS)])
    return SpreadModel(log_size, NO_SIGNS, np.full(1, typical), np.full(1, gain), np.full(1, residual))


def test_many_samples_count_alone_and_one_does_not_count_at_all():
    sample = np.diag([1.0, 4.0, 10.0])[None]
    stated = model(2.0, 0.5, 7.0).covariance(sample, 1e9, NO_SIGNS)
    np.testing.assert_allclose(stated, 2 * sample + 0.5 * 5.0 * np.eye(3), rtol=1e-6)
    np.testing.assert_allclose(model(2.0, 0.5, 7.0).covariance(0 * sample, 1.0, NO_SIGNS)[0], (2 + 0.5) * 7.0 * np.eye(3))


def test_signs_of_error_enlarge_and_missing_ones_do_not_count():
    sample = np.diag([1.0, 4.0, 10.0])[None]
    plain = model(2.0, 0.5, 7.0).covariance(sample, 8.0, NO_SIGNS)
    worse, unknown = NO_SIGNS.copy(), NO_SIGNS.copy()
    worse[0], unknown[0] = 1.0, np.nan
    np.testing.assert_allclose(model(2.0, 0.5, 7.0).covariance(sample, 8.0, worse), 2 * plain)
    np.testing.assert_array_equal(model(2.0, 0.5, 7.0).covariance(sample, 8.0, unknown), plain)


def test_variances_are_treated_like_covariances():
    sample = np.array([1.0, 4.0])
    spread = model(2.0, 0.5, 7.0)
    matrices = spread.covariance(sample[:, None, None] * np.eye(3), 8.0, NO_SIGNS)
    np.testing.assert_allclose(spread.covariance(sample, 8.0, NO_SIGNS), matrices[:, 0, 0])


def test_a_file_says_what_was_fitted(tmp_path):
    path = tmp_path / calibration.FILE_NAME
    fitted = calibration.uncalibrated()
    path.write_text(fitted.to_json("abc"))
    loaded = Calibration.load(path, "abc")
    np.testing.assert_allclose(loaded.articulation.gain, fitted.articulation.gain)
    assert loaded.location_gain == 1.0


def test_a_file_for_other_models_is_refused_with_advice(tmp_path):
    path = tmp_path / calibration.FILE_NAME
    path.write_text(calibration.uncalibrated().to_json("abc"))
    with pytest.raises(ModelError, match="fitted for models abc, these are def; fit it with"):
        Calibration.load(path, "def")


def test_a_missing_or_damaged_file_is_named(tmp_path):
    path = tmp_path / calibration.FILE_NAME
    with pytest.raises(ModelError, match="is missing"):
        Calibration.load(path, "abc")
    content = json.loads(calibration.uncalibrated().to_json("abc"))
    for broken in ("{", json.dumps({**content, "rotation": {**content["rotation"], "gain": [1.0, 2.0]}}), "[]"):
        path.write_text(broken)
        with pytest.raises(ModelError, match="is damaged"):
            Calibration.load(path, "abc")
