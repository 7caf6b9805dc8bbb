"""Frames between frames: what the scene did while the camera was not looking.

Between two frames the emulator lets every pixel change along a straight line. That is right while
the picture moves by up to a pixel; beyond that an edge would fade out here and fade in there
instead of passing over the pixels between. So the missing frames are made first: dense optical
flow in both directions (DIS; Kroeger, Timofte, Dai, Van Gool, ECCV 2016), and every point is
carried along its flow.

A pixel between the frames shows the point that both flows agree on. A point that only one frame
shows, because something covers it in the other, is taken from that frame (Herbst, Seitz, Baker,
Occlusion reasoning for temporal interpolation using optical flow, 2009). Where the flows
contradict each other, at a cut or in a blur, the two frames are blended.
"""

from dataclasses import dataclass, replace
from math import ceil, inf

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dvs.errors import ParameterError
from dvs.frames import Frames, TimedFrames, check_positive, default_encoding
from dvs.luminance import LINEAR, Encoding, linear_light

Light = NDArray[np.float32]  # (H, W)
Flow = NDArray[np.float32]  # (H, W, 2): x, y in pixels
Code = NDArray[np.uint8]  # (H, W): light as the eye and the flow see it

_CHANGED = 8  # codes; smaller changes are noise and compression
_SMALLEST_PX = 16  # DIS compares patches of 8x8 on at least two scales
_COARSE_PX = 320  # longer side of the frames in which motion is only measured


def interpolate(frames: Frames, *, max_motion_px: float = 1.0, max_factor: int = 32) -> Frames:
    """The frames, with as many more between them as keep a step of motion to `max_motion_px`.

    Frames become linear light, float32; those that came in stay as they are, at their times. No
    interval is divided into more than `max_factor` steps, however fast the motion.

    Raises ParameterError for a motion that is not positive or a factor below 1.
    """
    check_positive("max_motion_px", max_motion_px)
    if max_factor < 1:
        raise ParameterError(f"max_factor is {max_factor}, expected 1 or more")

    def read() -> TimedFrames:
        before = None
        for t1_us, frame in frames:
            light1 = linear_light(frame, frames.encoding)
            if before is not None:
                t0_us, light0 = before
                motion = estimate_motion(light0, light1)
                steps = min(max(ceil(motion.largest_px / max_motion_px), 1), max_factor)
                for step in range(1, steps):
                    share = step / steps
                    yield t0_us + share * (t1_us - t0_us), frame_between(light0, light1, motion, share)
            yield t1_us, light1
            before = t1_us, light1

    return replace(frames, encoding=LINEAR, read=read, count=None)


def largest_motion(frame0: NDArray, frame1: NDArray, encoding: Encoding | None = None) -> float:
    """How far in pixels the fastest things move between two frames (H, W); quick, on small copies."""
    import cv2

    scale = min(_COARSE_PX / max(frame0.shape), 1.0)
    size = max(round(frame0.shape[1] * scale), 1), max(round(frame0.shape[0] * scale), 1)
    lights = (linear_light(frame, encoding or default_encoding(frame, "frame")) for frame in (frame0, frame1))
    code0, code1 = _codes(*(cv2.resize(light, size, interpolation=cv2.INTER_AREA) for light in lights))
    flow = _flow(code0, code1, cv2.DISOPTICAL_FLOW_PRESET_FAST)
    return _fastest(flow, _changed(code0, code1)) / scale


@dataclass(frozen=True, kw_only=True, eq=False)
class Motion:
    """How the points of two frames move from the first to the second.

    `flow0` is how far each point of the first frame will go, `flow1` how far each point of the second
    has come. `doubt0` and `doubt1` (H, W) say how badly the two match at either end: below 1 they
    agree. `largest_px` is the way of the fastest points that both frames show.
    """

    flow0: Flow
    flow1: Flow
    doubt0: Light
    doubt1: Light
    largest_px: float


def estimate_motion(light0: Light, light1: Light) -> Motion:
    """Motion between two frames of linear light (H, W)."""
    import cv2

    code0, code1 = _codes(light0, light1)
    flow0 = _flow(code0, code1, cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow1 = -_flow(code1, code0, cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    doubt0, doubt1 = _doubt(flow0, flow1, 1.0), _doubt(flow1, flow0, -1.0)
    largest_px = _fastest(flow0, _changed(code0, code1) & (doubt0 < 1))
    return Motion(flow0=flow0, flow1=flow1, doubt0=doubt0, doubt1=doubt1, largest_px=largest_px)


def frame_between(light0: Light, light1: Light, motion: Motion, share: float) -> Light:
    """The light (H, W) when `share` of the time from the first frame to the second has passed."""
    return _between(light0, light1, motion.flow0, motion.flow1, motion.doubt0, motion.doubt1, share)


def _codes(light0: Light, light1: Light) -> tuple[Code, Code]:
    """Both frames in 8 bits on one scale, gamma-coded: the flow is to see the shadows too."""
    brightest = max(light0.max(), light1.max())
    if brightest == 0:
        brightest = np.float32(1)
    code0, code1 = (((light / brightest) ** (1 / 2.2) * 255).astype(np.uint8) for light in (light0, light1))
    return code0, code1


def _flow(code0: Code, code1: Code, preset: int) -> Flow:
    import cv2

    height, width = code0.shape
    below, right = max(_SMALLEST_PX - height, 0), max(_SMALLEST_PX - width, 0)
    large0, large1 = (cv2.copyMakeBorder(c, 0, below, 0, right, cv2.BORDER_REPLICATE) for c in (code0, code1))
    return cv2.DISOpticalFlow_create(preset).calc(large0, large1, None)[:height, :width]


def _changed(code0: Code, code1: Code) -> NDArray[np.bool_]:
    return np.abs(code1.astype(np.int16) - code0) > _CHANGED


def _fastest(flow: Flow, where: NDArray[np.bool_]) -> float:
    """Speed that 1 % of the chosen points exceed, 0 if there are none: a few wild ones do not count."""
    moving = flow[where]
    return float(np.quantile(np.hypot(moving[:, 0], moving[:, 1]), 0.99)) if len(moving) else 0.0


@njit(cache=True)
def _sample(image: Light, x: float, y: float) -> float:
    """Bilinear sample; outside, the border goes on."""
    height, width = image.shape
    x = min(max(x, 0.0), width - 1.0)
    y = min(max(y, 0.0), height - 1.0)
    left, top = int(x), int(y)
    right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
    x -= left
    y -= top
    above = (1 - x) * image[top, left] + x * image[top, right]
    below = (1 - x) * image[bottom, left] + x * image[bottom, right]
    return (1 - y) * above + y * below


@njit(cache=True)
def _doubt(flow: Flow, other: Flow, interval: float) -> Light:
    """How far two flows differ along the way of each point, over what is allowed (H, W).

    `interval` is 1 from the first frame to the second, -1 back. Sundaram, Brox, Keutzer, Dense point
    trajectories by GPU-accelerated large displacement optical flow, ECCV 2010, equation 5:
    |w - w'|**2 < 0.01 (|w|**2 + |w'|**2) + 0.5.
    """
    doubt = np.empty(flow.shape[:2], np.float32)
    for y in range(doubt.shape[0]):
        for x in range(doubt.shape[1]):
            u, v = flow[y, x]
            u_other = _sample(other[:, :, 0], x + interval * u, y + interval * v)
            v_other = _sample(other[:, :, 1], x + interval * u, y + interval * v)
            difference = (u - u_other) ** 2 + (v - v_other) ** 2
            doubt[y, x] = difference / (0.01 * (u**2 + v**2 + u_other**2 + v_other**2) + 0.5)
    return doubt


@njit(cache=True)
def _carry(
    flow: Flow, doubt: Light, elapsed: float, least: Light, path: Flow, least_alone: Light, path_alone: Flow
) -> None:
    """Carries points along their flow for a time and writes the flow where they arrive.

    Points on which the flows agree go into `least` (H, W) and `path` (H, W, 2), the others into
    `least_alone` and `path_alone`. Where several arrive, the one with the least doubt stays.
    """
    height, width = doubt.shape
    for y in range(height):
        for x in range(width):
            d = doubt[y, x]
            low, way = (least, path) if d < 1 else (least_alone, path_alone)
            u, v = flow[y, x]
            x_there = x + elapsed * u
            y_there = y + elapsed * v
            # A point is one pixel wide; it covers up to four, so a growing picture has no holes.
            left, top = int(np.floor(x_there)), int(np.floor(y_there))
            right = left + 1 if x_there > left else left
            bottom = top + 1 if y_there > top else top
            for j in range(max(top, 0), min(bottom + 1, height)):
                for i in range(max(left, 0), min(right + 1, width)):
                    if d < low[j, i]:
                        low[j, i] = d
                        way[j, i, 0] = u
                        way[j, i, 1] = v


@njit(cache=True)
def _between(
    light0: Light, light1: Light, flow0: Flow, flow1: Flow, doubt0: Light, doubt1: Light, share: float
) -> Light:
    since, until = share, share - 1.0  # time since the first frame, and (negative) until the second
    least = np.full(light0.shape, np.float32(inf))
    least0, least1 = least.copy(), least.copy()
    path, path0, path1 = np.empty_like(flow0), np.empty_like(flow0), np.empty_like(flow0)
    _carry(flow0, doubt0, since, least, path, least0, path0)
    _carry(flow1, doubt1, until, least, path, least1, path1)

    light = np.empty_like(light0)
    for y in range(light.shape[0]):
        for x in range(light.shape[1]):
            u, v, weight = np.float32(0), np.float32(0), share  # nothing known: blend
            if least[y, x] < inf:
                u, v = path[y, x]
            elif least0[y, x] < inf and least1[y, x] == inf:
                (u, v), weight = path0[y, x], 0.0
            elif least1[y, x] < inf and least0[y, x] == inf:
                (u, v), weight = path1[y, x], 1.0
            earlier = _sample(light0, x - since * u, y - since * v)
            later = _sample(light1, x - until * u, y - until * v)
            light[y, x] = (1 - weight) * earlier + weight * later
    return light
