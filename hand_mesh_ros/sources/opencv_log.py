"""OpenCV's own log."""

import os

import cv2

_FFMPEG_LEVEL = "OPENCV_FFMPEG_LOGLEVEL"
_QUIET = "-8"


def silence() -> None:
    """Switches off the messages of OpenCV and of its video decoder. The errors of this room give the reason of a failure."""
    os.environ.setdefault(_FFMPEG_LEVEL, _QUIET)  # the decoder reads this when it opens its first video
    logging = getattr(cv2.utils, "logging", None)  # OpenCV of Ubuntu 22.04 and 24.04 does not have this module
    if logging is not None:
        logging.setLogLevel(logging.LOG_LEVEL_SILENT)
