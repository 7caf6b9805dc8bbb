"""OpenCV without its remarks on standard error: what goes wrong is said by an exception."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Silences OpenCV's log inside the block."""
    import cv2

    logging = cv2.utils.logging
    level = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(level)
