"""Frames from a folder of images."""

import re
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dvs.errors import InputError
from dvs.frames import Frames, default_encoding, frames_from_array
from dvs.video.opencv import quiet_opencv
from dvs.video.request import Request
from dvs.video.timestamps import times_of

_KINDS = {
    ".png": "png", ".jpg": "jpg", ".jpeg": "jpg", ".tif": "tif", ".tiff": "tif",
    ".bmp": "bmp", ".webp": "webp",
}  # fmt: skip


def open_folder(path: Path, request: Request) -> Frames:
    """Frames of the images in a folder (png, jpg, tif, bmp or webp) in natural order: 2 before 10.

    Times come from `timestamps.txt` or a `*_ts.npy` in the folder, or `<folder>_ts.npy` beside it, else
    from `fps`. 16-bit images keep their depth, colour becomes linear luminance. digest is the SHA-256
    of the names and bytes of all images.

    Raises InputError for a folder without images or with two kinds of them, and for an image that
    cannot be read or differs from the first in size, depth or colour.
    """
    name = str(path)
    images = _images(path)
    beside = [path / "timestamps.txt", *sorted(path.glob("*_ts.npy")), path.with_name(f"{path.name}_ts.npy")]
    times_us = times_of(len(images), name, beside, request)
    span = request.slice_of(times_us, name)
    pictures = _Pictures(images[span])
    encoding = request.encoding or request.encoding_of(default_encoding(next(iter(pictures)), name))
    frames = frames_from_array(pictures, times_us=times_us[span], encoding=encoding, name=name)
    return replace(frames, digest=_digest(images))


class _Pictures:
    """Images as arrays of one shape and dtype; each pass reads the files again."""

    def __init__(self, images: list[Path]) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __iter__(self) -> Iterator[NDArray]:
        first = None
        for image in self._images:
            picture = _load(image)
            first = picture if first is None else first
            if (picture.shape, picture.dtype) != (first.shape, first.dtype):
                raise InputError(
                    f"{image} is {_describe(picture)}, but {self._images[0].name} is {_describe(first)}; "
                    "bring all images to one size and kind"
                )
            yield picture


def _images(path: Path) -> list[Path]:
    """The images in a folder, in natural order."""
    images = [file for file in path.iterdir() if file.suffix.lower() in _KINDS and not file.name.startswith(".")]
    kinds = sorted({_KINDS[image.suffix.lower()] for image in images})
    if not images:
        raise InputError(f"{path} holds no images, expected png, jpg, tif, bmp or webp files")
    if len(kinds) > 1:
        raise InputError(f"{path} holds images of several kinds ({', '.join(kinds)}); keep those of one film")
    return sorted(images, key=_natural)


def _natural(path: Path) -> list[tuple[str, int]]:
    """A key that sorts frame_2 before frame_10."""
    return [(text, int(digits or -1)) for text, digits in re.findall(r"(\D*)(\d*)", path.name.casefold())]


def _load(path: Path) -> NDArray:
    """An image as it was coded: grey (H, W) or red, green, blue and opacity (H, W, 3 | 4)."""
    import cv2

    # Only the second way turns a photograph upright, and a JPEG has neither opacity nor palette.
    jpg = _KINDS[path.suffix.lower()] == "jpg"
    flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH if jpg else cv2.IMREAD_UNCHANGED
    code = np.fromfile(path, np.uint8)
    with quiet_opencv():
        picture = cv2.imdecode(code, flags) if code.size else None
    if picture is None:
        raise InputError(f"{path} is not a complete image; export it again, or take it out")
    return picture if picture.ndim == 2 else picture[..., [2, 1, 0, 3][: picture.shape[2]]]


def _describe(picture: NDArray) -> str:
    channels = {2: "grey"}.get(picture.ndim, "colour" if picture.shape[-1] == 3 else "colour with opacity")
    return f"{picture.shape[1]}x{picture.shape[0]} {channels} {picture.dtype}"


def _digest(images: list[Path]) -> str:
    digest = sha256()
    for image in images:
        digest.update(image.name.encode() + b"\0" + image.read_bytes())
    return digest.hexdigest()
