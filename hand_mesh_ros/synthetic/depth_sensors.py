"""Models of depth cameras: what each camera measures of a scene with known depth, registered to the colour image.

`stereo` is an active stereo camera with a baseline of 50 mm. The disparity has a noise of 0.08 px, so the error grows with the
square of the distance. Block matching makes the noise similar over patches of some pixels. Faults: a shadow beside every outline
that only one of the two cameras sees, surfaces larger by up to 2 px, flying pixels between a surface and its background, holes on
slanted surfaces, random patches of holes, and no depth for disparities above 126 px. The error of the disparity comes from
Grunnet-Jepsen, Sweetser and Woodfill 2018, "Best-known-methods for tuning Intel RealSense D400 depth cameras".

`time_of_flight` measures the delay of modulated light. The noise is independent per pixel and grows as the reflected light
decreases: with the square of the distance and on slanted surfaces. Faults: an offset of the whole image, a mixture of near and
far light at every outline, of which the camera discards a part, light that is reflected more than once and makes hollows such as
the palm too far away, and no depth below 0.25 m and on very slanted surfaces. Noise and offset are within the limits of
Toelgyessy et al. 2021, "Evaluation of the Azure Kinect and its comparison to Kinect v1 and Kinect v2".

Depth images are in whole millimetres. The value 0 marks missing depth, in the input and in the result.
"""

from collections.abc import Callable

import cv2
import numpy as np

EXACT = "exact"  # name for depth without errors
Sensor = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]

# Depth of empty pixels during the computation, and largest measured depth [m].
_NOTHING_M, _FARTHEST_M = 10.0, 6.0
# Neighbouring pixels with a larger relative difference of depth are an outline.
_OUTLINE = 0.02
# Stereo: baseline [m], noise and largest value of the disparity [px], size of a patch of equal noise [px].
BASELINE_M = 0.05
_DISPARITY_STD_PX, _LARGEST_DISPARITY_PX, _PATCH_PX = 0.08, 126.0, 2.5
# Time of flight: noise at any distance and additional noise at 1 m [m], offset of an image [m], smallest distance [m], smallest
# cosine of the angle between the surface and the line of sight, size of the spot of light of a pixel [px].
_NOISE_M, _NOISE_AT_1M, _OFFSET_STD_M, _NEAREST_M, _FACING, _SPOT_PX = 0.001, 0.001, 0.003, 0.25, 0.2, 0.8
# Light that is reflected twice: radius of the neighbourhood and largest difference of depth [m], and error of a pixel relative to
# its depth below the neighbourhood.
_HOLLOW_M, _HOLLOW_DEPTH_M, _MULTIPATH = 0.03, 0.08, 0.25
_DISCARDED = 0.5  # share of discarded pixels at outlines


def stereo(depth_m: np.ndarray, camera_matrix: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns the depth image (H, W) float32 of a stereo camera.

    Args:
        depth_m: (H, W) true depth.
        camera_matrix: (3, 3).
        rng: source of randomness.
    """
    focal, shape = camera_matrix[0, 0], depth_m.shape
    depth = _filled(depth_m)
    # Near surfaces grow over their outline by a random number of pixels.
    reach = rng.integers(0, 3)
    depth = cv2.erode(depth, np.ones((2 * reach + 1,) * 2, np.uint8))
    nearest, farthest = _neighbourhood(depth)
    is_edge = farthest - nearest > _OUTLINE * depth
    flies = is_edge & (rng.random(shape) < 0.5)
    depth = np.where(flies, nearest + rng.random(shape).astype(np.float32) * (farthest - nearest), depth)
    noise = cv2.GaussianBlur(rng.standard_normal(shape).astype(np.float32), (0, 0), _PATCH_PX)
    noise *= _DISPARITY_STD_PX / noise.std()
    disparity = focal * BASELINE_M / depth + noise
    measured = focal * BASELINE_M / np.maximum(disparity, 0.1)
    # A slanted surface looks different in the two cameras, so the stereo match fails.
    across, down = _slopes(depth)
    is_lost = (np.hypot(across, down) * focal / depth > 4) & ~flies | (is_edge & (rng.random(shape) < 0.3))
    clouds = cv2.GaussianBlur(rng.standard_normal(shape).astype(np.float32), (0, 0), 6)
    is_lost |= clouds > np.quantile(clouds, 0.97)
    is_lost |= _shadow(depth, focal) | (disparity > _LARGEST_DISPARITY_PX)
    return _in_millimetres(measured, is_lost)


def time_of_flight(depth_m: np.ndarray, camera_matrix: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns the depth image (H, W) float32 of a time-of-flight camera. Arguments as in `stereo`."""
    focal, shape = camera_matrix[0, 0], depth_m.shape
    depth = _filled(depth_m)
    across, down = _slopes(depth)
    facing = 1 / np.sqrt(1 + (across**2 + down**2) * (focal / depth) ** 2)
    nearest, farthest = _neighbourhood(depth)
    is_edge = farthest - nearest > _OUTLINE * depth
    # Near light is stronger, with the inverse square of the distance.
    light = 1 / depth**2
    mixed = cv2.GaussianBlur(depth * light, (0, 0), _SPOT_PX) / cv2.GaussianBlur(light, (0, 0), _SPOT_PX)
    measured = np.where(is_edge, mixed, depth + _MULTIPATH * _hollow(depth, focal))
    std = _NOISE_M + _NOISE_AT_1M * depth**2 / np.maximum(facing, _FACING)
    measured = measured + std * rng.standard_normal(shape) + rng.normal(0, _OFFSET_STD_M)
    is_lost = (depth < _NEAREST_M) | ((facing < _FACING) & ~is_edge) | (is_edge & (rng.random(shape) < _DISCARDED))
    return _in_millimetres(measured, is_lost)


SENSORS: dict[str, Sensor] = {"stereo": stereo, "time_of_flight": time_of_flight}


def _filled(depth_m: np.ndarray) -> np.ndarray:
    return np.where(depth_m > 0, depth_m, _NOTHING_M).astype(np.float32)


def _in_millimetres(measured_m: np.ndarray, is_lost: np.ndarray) -> np.ndarray:
    is_lost = is_lost | (measured_m > _FARTHEST_M) | (measured_m < 0)
    return np.where(is_lost, 0, np.round(1e3 * measured_m) / 1e3).astype(np.float32)


def _neighbourhood(depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the smallest and the largest depth (H, W) in the 3 x 3 pixels around each pixel."""
    around = np.ones((3, 3), np.uint8)
    return cv2.erode(depth, around), cv2.dilate(depth, around)


def _slopes(depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the change of depth (H, W) per pixel to the right and downwards."""
    return cv2.Sobel(depth, cv2.CV_32F, 1, 0) / 8, cv2.Sobel(depth, cv2.CV_32F, 0, 1) / 8


def _shadow(depth: np.ndarray, focal: float) -> np.ndarray:
    """Returns (H, W) bool: a nearer surface hides the pixel from the second camera, one baseline to the right."""
    disparity = focal * BASELINE_M / depth
    column = np.arange(depth.shape[1]) - disparity
    # A column is hidden if a column on its right moves past it in the view of the second camera.
    from_right = np.minimum.accumulate(column[:, ::-1], axis=1)[:, ::-1]
    return column > from_right + 1.0


def _hollow(depth: np.ndarray, focal: float) -> np.ndarray:
    """Returns how far each pixel (H, W) is below the mean depth of the near surfaces around the pixel [m], at least 0."""
    size_px = 2 * max(1, round(_HOLLOW_M * focal / float(depth.min()))) + 1
    is_near = depth < cv2.erode(depth, np.ones((size_px, size_px), np.uint8)) + _HOLLOW_DEPTH_M
    share = cv2.blur(is_near.astype(np.float32), (size_px, size_px))
    mean = cv2.blur(np.where(is_near, depth, 0), (size_px, size_px)) / np.maximum(share, 1e-6)
    return np.where(is_near, np.maximum(depth - mean, 0), 0)
