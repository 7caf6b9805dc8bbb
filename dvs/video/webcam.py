"""Frames from a camera on this machine, as they arrive."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dvs.errors import InputError
from dvs.frames import Frames, TimedFrames
from dvs.luminance import Encoding
from dvs.video.opencv import quiet_opencv
from dvs.video.request import Request

if TYPE_CHECKING:
    from cv2 import VideoCapture


def open_webcam(number: int, request: Request) -> Frames:
    """Grey frames of webcam `number` (0 is the first) until `stop_s`, or for ever.

    A frame's time is that of its arrival, by a clock that never jumps; the first is at 0. Raises
    InputError if there is no such camera or it stops delivering.
    """
    import cv2

    name = f"webcam {number}"
    with _capture(number) as camera:
        width = int(camera.get(cv2.CAP_PROP_FRAME_WIDTH))
        height = int(camera.get(cv2.CAP_PROP_FRAME_HEIGHT))

    def read() -> TimedFrames:
        start_ns = None
        with _capture(number) as camera:
            while True:
                arrived, picture = camera.read()
                now_ns = time.monotonic_ns()
                if not arrived:
                    raise InputError(f"{name} stopped delivering frames; check the cable and other programs")
                start_ns = now_ns if start_ns is None else start_ns
                t_us = (now_ns - start_ns) / 1e3
                if request.is_after(t_us):
                    return
                if not request.is_before(t_us):
                    yield t_us, cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)

    return Frames(width=width, height=height, encoding=request.encoding_of(Encoding()), read=read, name=name)


@contextmanager
def _capture(number: int) -> Iterator["VideoCapture"]:
    """The opened camera, released at the end."""
    import cv2

    with quiet_opencv():
        camera = cv2.VideoCapture(number)
    if not camera.isOpened():
        raise InputError(f"webcam {number} cannot be opened; check that it is plugged in and not in use")
    try:
        yield camera
    finally:
        camera.release()
