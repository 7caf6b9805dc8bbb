"""Frames from a .npy or .npz file."""

from dataclasses import replace
from hashlib import file_digest
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from dvs.errors import FormatError, InputError
from dvs.frames import Frames, check_times, default_encoding, frames_from_array
from dvs.video.request import Request
from dvs.video.timestamps import times_of


def open_array(path: Path, request: Request) -> Frames:
    """Frames of a .npy array (T, H, W) or (T, H, W, 3 | 4), or of the field `frames` of a .npz.

    Times come from the field `times_us` of the .npz, else from the file `<stem>_ts.npy` beside it, else
    from `fps`. A .npy is mapped, not loaded, so it may be larger than memory.
    """
    name = str(path)
    stack, times_us = _load(path)
    if stack.ndim < 3:
        raise InputError(f"{name} holds an array of shape {stack.shape}, expected (T, H, W) or (T, H, W, 3)")
    if times_us is None or request.timestamps is not None:
        times_us = times_of(len(stack), name, [path.with_name(f"{path.stem}_ts.npy")], request)
    else:
        times_us = check_times(times_us, name)
        if times_us.size != len(stack):
            raise InputError(f"{name} has {len(stack)} frames but {times_us.size} times_us; give one for each frame")
        times_us = times_us - times_us[:1]
    span = request.slice_of(times_us, name)
    encoding = request.encoding or request.encoding_of(default_encoding(stack[span.start], name))
    frames = frames_from_array(stack[span], times_us=times_us[span], encoding=encoding, name=name)
    with path.open("rb") as file:
        return replace(frames, digest=file_digest(file, "sha256").hexdigest())


def _load(path: Path) -> tuple[NDArray, NDArray | None]:
    """The frames, and their times in microseconds where the file has them."""
    try:
        if path.suffix.lower() == ".npy":
            return np.lib.format.open_memmap(path, mode="r"), None
        with path.open("rb") as file, np.load(file) as content:
            if "frames" in content:
                return content["frames"], content.get("times_us")
            fields = sorted(content)
    except (ValueError, TypeError, EOFError, OSError, BadZipFile) as error:
        raise FormatError(f"{path} is not a NumPy file of numbers ({error})") from error
    raise InputError(f"{path} has the fields {fields}, expected one called frames")
