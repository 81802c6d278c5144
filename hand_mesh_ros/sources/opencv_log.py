"""OpenCV's own log."""

import cv2


def silence() -> None:
    """Switches off OpenCV's own messages, which are many lines long. The errors of this room say what went wrong."""
    logging = getattr(cv2.utils, "logging", None)  # OpenCV of Ubuntu 22.04 and 24.04 does not have this module
    if logging is not None:
        logging.setLogLevel(logging.LOG_LEVEL_SILENT)
