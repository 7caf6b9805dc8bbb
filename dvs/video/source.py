"""One door for every kind of video: a file, a GIF, a folder, an array, a camera, a pipe."""

from math import inf
from pathlib import Path

from dvs.errors import InputError, ParameterError
from dvs.frames import Frames
from dvs.luminance import Encoding
from dvs.video.array import open_array
from dvs.video.container import open_container, open_pipe
from dvs.video.folder import open_folder
from dvs.video.request import Request
from dvs.video.transforms import crop_frames, resize_frames, retime_frames
from dvs.video.webcam import open_webcam


def open_video(
    source: str | Path | int,
    *,
    size: tuple[int, int] | None = None,
    crop: tuple[int, int, int, int] | None = None,
    start_s: float | None = None,
    stop_s: float | None = None,
    fps: float | None = None,
    slow_motion: float = 1.0,
    timestamps: str | Path | None = None,
    encoding: Encoding | None = None,
    transfer: str | None = None,
) -> Frames:
    """Frames of a video, grey, read one by one.

    `source` is a video file or GIF (anything FFmpeg reads), a folder of images, an array in a .npy or
    .npz file, the number of a webcam, or "-" for a video on standard input.

    `crop` = (left, top, width, height) in pixels of the source is cut out first. `size` = (width,
    height) then averages light over the area of each new pixel.

    `start_s` and `stop_s` choose the frames with start_s <= t < stop_s on the time line of the source,
    whose first frame is at 0; the first chosen frame is at time 0 again. `fps` puts the chosen frames
    1/fps apart, whatever the source says. `slow_motion` = 8 says that the video shows one second of
    the world in eight: times are divided by it.

    A folder and an array need `fps` or times: the file `timestamps`, or one that lies beside the
    frames (see `dvs.video.timestamps`).

    `encoding` replaces what the source says about its codes, `transfer` the curve alone.

    Raises InputError or FormatError for a source that cannot be used, ParameterError for options out of
    range. A file that breaks off raises InputError at that point, after its good frames.
    """
    request = Request(
        start_s=0.0 if start_s is None else start_s,
        stop_s=inf if stop_s is None else stop_s,
        fps=fps,
        timestamps=None if timestamps is None else Path(timestamps),
        encoding=encoding,
        transfer=transfer,
    )
    frames = _open(source, request)
    if crop is not None:
        frames = crop_frames(frames, crop)
    if size is not None:
        frames = resize_frames(frames, size)
    return retime_frames(frames, fps=fps, slow_motion=slow_motion)


def _open(source: str | Path | int, request: Request) -> Frames:
    """The frames of the requested span, with the times of the source."""
    path = Path(str(source))
    live = not path.exists() and (str(source) == "-" or str(source).isdecimal())
    if not live and not path.exists():
        raise InputError(f"{source} does not exist; give a video file, a folder of images, a webcam number or -")
    if path.is_dir():
        return open_folder(path, request)
    if path.suffix.lower() in (".npy", ".npz"):
        return open_array(path, request)
    if request.timestamps is not None:
        raise ParameterError(f"{source} has times of its own; timestamps go with a folder or an array, use fps here")
    if live:
        return open_pipe(request) if str(source) == "-" else open_webcam(int(source), request)
    return open_container(path, request)
