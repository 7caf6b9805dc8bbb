"""From frames to frames: cut out a part, change the size, change the times."""

from dataclasses import replace

from dvs.errors import ParameterError
from dvs.frames import Frames, TimedFrames, check_positive
from dvs.luminance import LINEAR, linear_light


def crop_frames(frames: Frames, box: tuple[int, int, int, int]) -> Frames:
    """The part box = (left, top, width, height) of every frame, in pixels.

    Raises ParameterError for a box that does not lie inside the frame.
    """
    left, top, width, height = box
    if min(left, top) < 0 or min(width, height) < 1:
        raise ParameterError(f"crop is {tuple(box)}, expected (left, top, width, height) from 0, 0, 1, 1 up")
    if left + width > frames.width or top + height > frames.height:
        raise ParameterError(
            f"crop {tuple(box)} reaches to {left + width}, {top + height}, "
            f"but {frames.name} is {frames.width}x{frames.height}; give a part that lies inside"
        )

    def read() -> TimedFrames:
        for t_us, frame in frames.read():
            yield t_us, frame[top : top + height, left : left + width]

    return replace(frames, width=width, height=height, read=read)


def resize_frames(frames: Frames, size: tuple[int, int]) -> Frames:
    """Frames of size = (width, height) as linear light, float32.

    A new pixel gathers the light of the area it covers: the mean is taken of luminance, because the
    mean of codes is too dark at every edge (of black and white it is 0.21 instead of 0.5). Frames are
    enlarged by linear interpolation. Raises ParameterError for a size below 1x1.
    """
    width, height = size
    if width < 1 or height < 1:
        raise ParameterError(f"size is {width}x{height}, expected a width and a height of 1 or more")
    if (width, height) == (frames.width, frames.height):
        return frames
    smaller = min(width, frames.width), min(height, frames.height)

    def read() -> TimedFrames:
        import cv2

        for t_us, frame in frames:  # checked: a mean would hide what is negative
            light = linear_light(frame, frames.encoding)
            light = cv2.resize(light, smaller, interpolation=cv2.INTER_AREA)
            yield t_us, cv2.resize(light, (width, height), interpolation=cv2.INTER_LINEAR)

    return replace(frames, width=width, height=height, encoding=LINEAR, read=read)


def retime_frames(frames: Frames, *, fps: float | None = None, slow_motion: float = 1.0) -> Frames:
    """The same pictures with the first at time 0, every 1/fps seconds if `fps` is given.

    Times are then divided by `slow_motion`, the factor by which the video is slower than the world.
    """
    check_positive("slow_motion", slow_motion)

    def read() -> TimedFrames:
        start_us = None
        for number, (t_us, frame) in enumerate(frames.read()):
            start_us = t_us if start_us is None else start_us
            video_us = t_us - start_us if fps is None else number * 1e6 / fps
            yield video_us / slow_motion, frame

    return replace(frames, read=read)
