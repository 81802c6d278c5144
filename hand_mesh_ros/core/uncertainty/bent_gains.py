"""Calibration of the covariances of hands that depth has bent.

The covariances of `calibration` and `place` describe the errors before depth bends the fingers. Afterwards joints with measured
skin have smaller errors. The errors of the other joints are larger than these covariances, mostly behind objects, and grow as the
share of measured joints decreases. The factors give 90 % ellipsoids that contain about 90 % of the errors in each of the two
groups, on rendered RGB-D hands of both sensors and all obstacles (`benchmarks.depth.shape`, seeds 111 and 112).
"""

import numpy as np

# Factors on the covariance of the absolute position: measured joints, other joints if half of the joints are measured, and the
# increase of the logarithm of the latter if no joint is measured instead of all.
_ABSOLUTE = (0.4, 2.1, 1.5)
# The same for the covariance after similarity alignment.
_ARTICULATION = (0.7, 1.35, 0.75)


def bent_gains(measured: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Factors (21,) on the covariances of absolute position and of articulation.

    Args:
        measured: (21,) bool, joints with measured skin.
    """
    return _gains(measured, *_ABSOLUTE), _gains(measured, *_ARTICULATION)


def _gains(measured: np.ndarray, of_measured: float, of_others: float, slope: float) -> np.ndarray:
    return np.where(measured, of_measured, of_others * np.exp(slope * (0.5 - measured.mean())))
