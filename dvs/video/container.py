"""Frames from whatever FFmpeg reads: video files, GIFs, a pipe.

A file that ends before its time is refused, not silently shortened: the good frames are delivered,
then an InputError names the time. What shows it: a packet that is cut short, a decoder that gives
up, a Matroska file that is shorter than its header says. An MP4 without its index cannot be opened
at all. A transport stream has no end that could be missed, and damage inside a picture that the
decoder papers over goes unseen.
"""

import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import file_digest
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from dvs.errors import FormatError, InputError
from dvs.frames import Frames, TimedFrames
from dvs.luminance import LINEAR
from dvs.video.pixels import layout_of
from dvs.video.request import Request

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer

_SLACK_S = 0.25  # a header may round a duration, and count the last sound


class _BrokenOffError(Exception):
    """The file ends before its time; the message says what shows it."""


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

    def decode() -> Iterator["VideoFrame"]:
        return _decode_from(location, name, first, request.start_s)

    return _frames(first, decode, name, request, count, digest)


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
    """Frames of the requested span; `decode` starts a pass over a part of the file that holds it."""
    layout = layout_of(first, name, request)
    timed = first.pts is not None and first.time_base is not None
    if not timed and request.fps is None:
        raise InputError(f"{name} has no times; give fps")

    def read() -> TimedFrames:
        t_us = 0.0
        try:
            for number, frame in enumerate(decode()):
                if not timed:
                    t_us = number * 1e6 / request.fps
                elif frame.pts is None:
                    raise InputError(f"{name} has a frame without a time after {t_us / 1e6:.6f} s; re-encode it")
                else:
                    # Fractions are exact; they are rounded once, to a float.
                    t_us = float((frame.pts - first.pts) * first.time_base * 1_000_000)
                if request.is_after(t_us):
                    return
                if not request.is_before(t_us):
                    yield t_us, layout.picture(frame, name)
        except _BrokenOffError as damage:
            raise InputError(
                f"{name} breaks off after {t_us / 1e6:.6f} s ({damage}); "
                f"repair it, or use the part in front with stop_s={t_us / 1e6:.6f}"
            ) from None

    width, height = layout.size
    encoding = LINEAR if layout.colour else layout.encoding
    return Frames(width=width, height=height, encoding=encoding, read=read, count=count, name=name, digest=digest)


def _open(source: str | BinaryIO, name: str) -> "InputContainer":
    """The opened video; FormatError if it is none."""
    import av

    try:
        container = av.open(source)
    except (av.error.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", error)
        raise FormatError(f"{name} is not a complete video that FFmpeg can read ({reason})") from error
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
    places = deque()  # of the pictures in an AVI
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
                places.append(packet.dts)
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
            if _is_avi(container):
                frame.pts = places.popleft() if places else None
            yield frame
    declared_s = (container.duration or 0) / 1e6
    if not damage and container.format.name.startswith("matroska") and packed_s < declared_s - _SLACK_S:
        damage = f"its header promises {declared_s:g} s"
    if damage:
        raise _BrokenOffError(damage)


def _is_avi(container: "InputContainer") -> bool:
    """Whether the file keeps no times of display, only places in a row of equal intervals.

    FFmpeg guesses the times of pictures that are not stored in the order of display, and guesses wrong
    for H.264. But the k-th picture shown is in the k-th place that is not empty.
    """
    return container.format.name == "avi"


def _decode_from(location: str, name: str, first: "VideoFrame", start_s: float) -> Iterator["VideoFrame"]:
    """Frames from the last key frame at or before `start_s` on, or all if that cannot be found."""
    from av.error import FFmpegError

    with _open(location, name) as container:
        if start_s > 0 and first.pts is not None and first.time_base is not None and not _is_avi(container):
            target = first.pts + int(start_s / first.time_base)
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
        raise InputError(f"{name} breaks off before its first frame ({damage}); repair it") from None
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
