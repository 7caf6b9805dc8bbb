"""Frames from whatever FFmpeg reads: video files, GIFs, a pipe.

The Y plane of a video is taken as it was coded, 8 to 16 bits, without a detour through RGB: that is
the quickest way, and exact for grey. (In strong colours luma is a little darker than the code of
luminance would be.) Pictures coded as RGB, such as GIFs, become linear luminance.

A file that ends before its time is refused, not silently shortened: the good frames are delivered,
then an InputError names the time. What shows it: a packet that is cut short, a decoder that gives
up, a Matroska file that is shorter than its header says. An MP4 without its index cannot be opened
at all. A transport stream has no end that could be missed.
"""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import file_digest
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from dvs.errors import FormatError, InputError
from dvs.frames import Frames, TimedFrames
from dvs.luminance import LINEAR, Encoding, to_grey
from dvs.video.request import Request

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer

# ITU-T H.273, table 3: the number in the file that names the curve. 2 is "unspecified".
_TRANSFERS = {
    1: "bt709", 2: "srgb", 4: "gamma22", 5: "gamma28", 6: "bt709", 8: "linear", 11: "bt709",
    12: "bt709", 13: "srgb", 14: "bt709", 15: "bt709", 16: "pq", 18: "hlg",
}  # fmt: skip
_SLACK_S = 0.25  # a header may round a duration, and count the last sound
_LIMITED, _FULL = 1, 2  # colour range, as FFmpeg numbers it

# Pixel formats whose first plane holds luma alone, in the low bits of one or two bytes.
_LUMA_FIRST = re.compile(r"(gray|yuvj?4\d\dp|nv\d\d)(9|10|12|14|16)?(le|be)?")


class _BrokenOffError(Exception):
    """The file ends before its time; the message says what shows it."""


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """How the pictures of a stream are coded; read from the first one and held against the others."""

    pixel_format: str
    width: int
    height: int
    quarter_turns: int
    colour: bool
    encoding: Encoding

    @classmethod
    def of(cls, frame: "VideoFrame", name: str, request: Request) -> "_Layout":
        pixels = frame.format
        bits = max(component.bits for component in pixels.components)
        if bits > 16:
            raise FormatError(
                f"{name} has pixels of format {pixels.name}, expected up to 16 bits; convert it"
            )
        colour = pixels.is_rgb or pixels.has_palette or any(part.is_alpha for part in pixels.components)
        if colour:
            black, white = 0, 255 if bits <= 8 else 65535
        elif _is_limited(frame):
            black, white = 16 << (bits - 8), 235 << (bits - 8)
        else:
            black, white = 0, 2**bits - 1
        encoding = request.encoding
        if encoding is None:
            transfer = request.transfer or _TRANSFERS.get(frame.color_trc)
            if transfer is None:
                raise InputError(
                    f"{name} has transfer function number {frame.color_trc} of H.273, which is not known here; "
                    "name one that comes near, for example transfer='bt709'"
                )
            encoding = Encoding(transfer=transfer, black=black, white=white)
        return cls(
            pixel_format=pixels.name,
            width=frame.width,
            height=frame.height,
            quarter_turns=round(frame.rotation / 90) % 4,
            colour=colour,
            encoding=encoding,
        )

    def picture(self, frame: "VideoFrame", name: str) -> NDArray:
        """The frame as upright codes, or as linear light if it is coded in colour."""
        if (frame.format.name, frame.width, frame.height) != (self.pixel_format, self.width, self.height):
            raise InputError(
                f"{name} changes from {self.width}x{self.height} {self.pixel_format} to "
                f"{frame.width}x{frame.height} {frame.format.name}; cut it there, or re-encode it to one size"
            )
        upright = to_grey(_rgb(frame), self.encoding) if self.colour else _luma(frame)
        return np.rot90(upright, self.quarter_turns)


def open_container(path: Path, request: Request) -> Frames:
    """Frames of a file at the times it gives, the first at 0; digest is the SHA-256 of the file."""
    name = str(path)
    # An absolute path: FFmpeg would take the name a:b.mp4 for a network protocol.
    location = str(path.resolve())
    with _open(location, name) as container:
        first = _first(_decode(container), name)
        count = _estimate(container, request)
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    return _frames(
        first, lambda: _decode_from(location, name, first, request.start_s), name, request, count, digest
    )


def open_pipe(request: Request) -> Frames:
    """Frames of the video that arrives on standard input; they can be read once."""
    name = "standard input"
    container = _open(sys.stdin.buffer, name)
    decoded = _decode(container)
    first = _first(decoded, name)
    passes = [chain([first], decoded)]

    def decode() -> Iterator["VideoFrame"]:
        if not passes:
            raise InputError("standard input can be read once; write the video to a file to read it again")
        with container:
            yield from passes.pop()

    return _frames(first, decode, name, request)


def _frames(
    first: "VideoFrame",
    decode: Callable[[], Iterator["VideoFrame"]],
    name: str,
    request: Request,
    count: int | None = None,
    digest: str | None = None,
) -> Frames:
    """Frames of the requested span; `decode` starts a pass that reaches it at the latest."""
    layout = _Layout.of(first, name, request)
    origin, time_base = first.pts, first.time_base
    if (origin is None or time_base is None) and request.fps is None:
        raise InputError(f"{name} has no times; give fps")

    def read() -> TimedFrames:
        t_us = 0.0
        try:
            for number, frame in enumerate(decode()):
                if origin is None or time_base is None:
                    t_us = number * 1e6 / request.fps
                else:
                    t_us = float((frame.pts - origin) * time_base * 1_000_000)  # a fraction, exact until here
                if request.is_after(t_us):
                    return
                if not request.is_before(t_us):
                    yield t_us, layout.picture(frame, name)
        except _BrokenOffError as damage:
            raise InputError(
                f"{name} breaks off after {t_us / 1e6:.6f} s ({damage}); "
                f"repair it, or use the part in front with stop_s={t_us / 1e6:.6f}"
            ) from None

    width, height = (
        (layout.width, layout.height) if layout.quarter_turns % 2 == 0 else (layout.height, layout.width)
    )
    return Frames(
        width=width,
        height=height,
        encoding=LINEAR if layout.colour else layout.encoding,
        read=read,
        count=count,
        name=name,
        digest=digest,
    )


def _open(source: str | BinaryIO, name: str) -> "InputContainer":
    """The opened video; FormatError if it is none."""
    import av

    try:
        container = av.open(source)
    except (av.error.FFmpegError, ValueError) as error:
        raise FormatError(
            f"{name} is not a complete video that FFmpeg can read ({getattr(error, 'strerror', error)})"
        ) from error
    # FFmpeg draws text files as if on a terminal.
    if not container.streams.video or container.format.name == "tty":
        container.close()
        raise FormatError(f"{name} holds no video; give a video file, a GIF or a folder of images")
    return container


def _decode(container: "InputContainer", *, seek_pts: int | None = None) -> Iterator["VideoFrame"]:
    """Frames in the order of display, all of them or from the key frame in front of `seek_pts`.

    Raises _BrokenOffError where the file ends before its time.
    """
    from av.error import FFmpegError

    stream = container.streams.best("video")
    stream.thread_type = "AUTO"
    if seek_pts is not None:
        container.seek(seek_pts, stream=stream)
    packets = container.demux()
    damage, packed_s = "", 0.0
    while not damage:
        frames = []
        try:
            packet = next(packets, None)
            if packet is None:
                break
            if packet.is_corrupt:
                damage = "a packet is cut short"
            elif packet.stream is stream:
                frames = packet.decode()
            if packet.pts is not None:
                packed_s = max(packed_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        except FFmpegError as error:
            damage = error.strerror
        if damage:
            # What the decoder still holds back is whole.
            with suppress(FFmpegError):
                frames = stream.decode(None)
        for frame in frames:
            if frame.is_corrupt:
                damage = "a frame is damaged"
                break
            yield frame
    declared_s = (container.duration or 0) / 1e6
    if not damage and container.format.name.startswith("matroska") and packed_s < declared_s - _SLACK_S:
        damage = f"its header promises {declared_s:g} s"
    if damage:
        raise _BrokenOffError(damage)


def _decode_from(location: str, name: str, first: "VideoFrame", start_s: float) -> Iterator["VideoFrame"]:
    """Frames from the last key frame at or before `start_s` on, or from the first on if seeking fails."""
    from av.error import FFmpegError

    if start_s > 0 and first.pts is not None and first.time_base is not None:
        target = first.pts + int(start_s / first.time_base)
        with _open(location, name) as container:
            frames = _decode(container, seek_pts=target)
            landed = None
            with suppress(FFmpegError, _BrokenOffError):
                landed = next(frames, None)
            if landed is not None and landed.pts is not None and landed.pts <= target:
                yield landed
                yield from frames
                return
    with _open(location, name) as container:
        yield from _decode(container)


def _first(frames: Iterator["VideoFrame"], name: str) -> "VideoFrame":
    """The first frame; InputError if there is none."""
    try:
        first = next(frames, None)
    except _BrokenOffError as damage:
        raise InputError(
            f"{name} is damaged from the start ({damage}); repair it, or give another video"
        ) from None
    if first is None:
        raise InputError(f"{name} holds no frame that can be decoded; give another video")
    return first


def _estimate(container: "InputContainer", request: Request) -> int | None:
    """About how many frames the requested span has, where the header says."""
    stream = container.streams.best("video")
    rate = float(stream.average_rate or 0)
    duration_s = (container.duration or 0) / 1e6
    if stream.frames and request.start_s == 0 and request.stop_s >= duration_s:
        return stream.frames
    span_s = min(request.stop_s, duration_s) - request.start_s
    return round(span_s * rate) if duration_s and rate and span_s > 0 else None


def _is_limited(frame: "VideoFrame") -> bool:
    """Whether black and white are 16 and 235 (times 4 with 10 bits ...) instead of the whole range."""
    name = frame.format.name
    if frame.color_range in (_LIMITED, _FULL):
        return frame.color_range == _LIMITED
    return not name.startswith(("yuvj", "gray"))


def _luma(frame: "VideoFrame") -> NDArray:
    """The Y plane, uint8 or uint16 (H, W), as a copy: the decoder reuses its memory."""
    bits = frame.format.components[0].bits
    if not _LUMA_FIRST.fullmatch(frame.format.name):
        # Packed, or in the high bits: FFmpeg moves the same codes into planes.
        depth = "" if bits == 8 else f"{bits}le"
        frame = frame.reformat(format=f"yuv444p{depth}")
    dtype = np.dtype(np.uint8 if bits == 8 else ">u2" if frame.format.is_big_endian else "<u2")
    plane = frame.planes[0]
    rows = np.frombuffer(plane, dtype).reshape(-1, plane.line_size // dtype.itemsize)
    return rows[: frame.height, : frame.width].astype(dtype.newbyteorder("="))


def _rgb(frame: "VideoFrame") -> NDArray:
    """Red, green, blue and, where the format has it, opacity: uint8 or uint16 (H, W, 3 | 4)."""
    components = frame.format.components
    alpha = frame.format.has_palette or any(component.is_alpha for component in components)
    deep = max(component.bits for component in components) > 8
    target = {
        (False, False): "rgb24",
        (True, False): "rgba",
        (False, True): "rgb48le",
        (True, True): "rgba64le",
    }
    return frame.to_ndarray(format=target[alpha, deep])
