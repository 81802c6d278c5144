"""Sources of images with one interface: a video file, a webcam, or the synthetic camera."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from hand_mesh_ros.core.config import check, option
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.types import Side
from hand_mesh_ros.sources import opencv_log
from hand_mesh_ros.sources.assumed_camera import assumed_matrix

if TYPE_CHECKING:
    from hand_mesh_ros.synthetic.camera import SyntheticView


class SourceError(ValueError):
    """A source cannot be opened, or failed later. The message gives the reason and what to do."""


@dataclass(frozen=True)
class SourceConfig:
    """Settings of a source of images.

    Raises:
        ValueError: if a value is not allowed. The message names the field, the value and the allowed values.
    """

    source: str = option("synthetic", "'synthetic', a video file, or the number of a webcam")
    width: int = option(0, "image width [px]; 0: width of the source (synthetic: 640)", (0, 8192))
    height: int = option(0, "image height [px]; 0: height of the source (synthetic: 480)", (0, 8192))
    # A file has no calibration. A wrong field of view makes positions wrong, but has little effect on shapes.
    hfov_deg: float = option(60.0, "assumed horizontal field of view [deg]; 0: the camera is not calibrated", (0.0, 170.0))
    side: Side = option("right", "side of the synthetic hand", choices=("left", "right"))
    seed: int = option(0, "seed of the synthetic hand's appearance and motion", (0, 2**31 - 1))

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Shot:
    """One image of a source."""

    rgb: np.ndarray  # (H, W, 3) uint8
    camera_matrix: np.ndarray  # (3, 3), all zero for a camera that is not calibrated
    time_s: float  # since the start of the source
    truth: "SyntheticView | None" = field(default=None, repr=False)


class ImageSource(Protocol):
    """A sequence of images."""

    rate_hz: float  # image rate of the source; 0 if unknown
    n_images: int  # number in the file, correct within a few images; 0 if unknown or unlimited

    def read(self) -> Shot | None:
        """Returns the next image; None at the end of a file.

        Raises:
            SourceError: if the source failed.
        """

    def rewind(self) -> None:
        """Restarts the source."""

    def close(self) -> None:
        """Releases the device or file."""


def open_source(config: SourceConfig, rate_hz: float) -> ImageSource:
    """Opens the source of `config`.

    Args:
        config: settings of the source.
        rate_hz: images per second of the synthetic camera; other sources have their own rate.

    Raises:
        SourceError: if the source is missing or cannot be read.
    """
    opencv_log.silence()
    if config.source == "synthetic":
        return SyntheticSource(config, rate_hz)
    if config.source.isdigit():
        return VideoSource(config, cv2.VideoCapture(int(config.source)), is_live=True)
    if not Path(config.source).is_file():
        raise SourceError(
            f"source '{config.source}' is not a file (current folder: {Path.cwd()}); "
            "give 'synthetic', a video file or a webcam number"
        )
    return VideoSource(config, cv2.VideoCapture(config.source), is_live=False)


class SyntheticSource:
    """The synthetic camera at a constant rate, without an end."""

    def __init__(self, config: SourceConfig, rate_hz: float) -> None:
        size = (config.width or 640, config.height or 480)
        if not config.hfov_deg:
            raise SourceError("hfov_deg is 0: the synthetic camera needs a field of view")
        try:
            # Its ray caster is not needed for files and webcams, and may not be installed.
            from hand_mesh_ros.synthetic.camera import SyntheticCamera
        except ImportError as error:
            if not (error.name or "").startswith("embreex"):
                raise
            raise SourceError(f"the synthetic camera needs embreex ({error}): {sys.executable} -m pip install embreex") from error
        model = HandModel.load(default_models_dir() / FILE_NAME)
        self._camera = SyntheticCamera(model, size, config.hfov_deg, config.side, config.seed)
        self.rate_hz, self.n_images = rate_hz, 0
        self._count = 0

    def read(self) -> Shot:
        time_s = self._count / self.rate_hz
        self._count += 1
        view = self._camera.at(time_s)
        return Shot(view.rgb, self._camera.camera_matrix, time_s, view)

    def rewind(self) -> None:
        self._count = 0

    def close(self) -> None:
        pass


class VideoSource:
    """A video file or a webcam, read by OpenCV."""

    def __init__(self, config: SourceConfig, capture: cv2.VideoCapture, is_live: bool) -> None:
        self._config, self._capture, self._is_live = config, capture, is_live
        if not capture.isOpened():
            raise SourceError(self._why_closed())
        if is_live:
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest image, not the oldest of a queue
            for wanted, name in ((config.width, cv2.CAP_PROP_FRAME_WIDTH), (config.height, cv2.CAP_PROP_FRAME_HEIGHT)):
                if wanted:
                    capture.set(name, wanted)
        self.rate_hz = max(float(capture.get(cv2.CAP_PROP_FPS)), 0.0)
        self.n_images = 0 if is_live else max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        self._count = 0
        self._started_at_ticks = cv2.getTickCount()

    def read(self) -> Shot | None:
        ok, bgr = self._capture.read()
        if not ok:
            self._end()
            return None
        rgb = self._resized(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))
        time_s = (
            (cv2.getTickCount() - self._started_at_ticks) / cv2.getTickFrequency()
            if self._is_live
            else self._count / (self.rate_hz or 30.0)
        )
        self._count += 1
        return Shot(rgb, assumed_matrix(rgb.shape[1], rgb.shape[0], self._config.hfov_deg), time_s)

    def rewind(self) -> None:
        self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
        self._count = 0

    def close(self) -> None:
        self._capture.release()

    def _end(self) -> None:
        """Returns at the end of a file. Raises SourceError for a damaged file or a stopped webcam."""
        name = self._config.source
        if self._is_live:
            raise SourceError(f"webcam {name} stopped after {self._count} images; check its cable")
        if not self._count:
            raise SourceError(f"video '{name}' has no image that OpenCV can decode")
        # The frame count of a file is correct within a few images. If half of the images are missing, the file is damaged.
        if self._count < 0.5 * self.n_images:
            raise SourceError(f"video '{name}' is cut off: OpenCV decoded {self._count} of {self.n_images} images")

    def _resized(self, rgb: np.ndarray) -> np.ndarray:
        height, width = rgb.shape[:2]
        wanted_width = (
            self._config.width or round(width * self._config.height / height) if self._config.height else self._config.width
        )
        if not wanted_width:
            return rgb
        wanted = (wanted_width, self._config.height or round(height * wanted_width / width))
        if wanted == (width, height):
            return rgb
        if abs(wanted[0] * height / (wanted[1] * width) - 1) > 0.02:
            raise SourceError(
                f"width x height is {wanted[0]}x{wanted[1]}, but the source has {width}x{height}: this would distort the image; "
                "give only width or only height"
            )
        return cv2.resize(rgb, wanted, interpolation=cv2.INTER_AREA)

    def _why_closed(self) -> str:
        name = self._config.source
        if self._is_live:
            return f"webcam {name} cannot be opened: check that /dev/video{name} exists and that the user is in the group video"
        return f"video '{name}' cannot be opened: the file is damaged, or OpenCV cannot decode its format"
