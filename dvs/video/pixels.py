"""The pixels of a decoded frame: which of its numbers are luma, and how they stand for light.

The Y plane of a video is taken as it was coded, 8 to 16 bits, without a detour through RGB: that is
the quickest way, and exact for grey. (In strong colours luma is a little darker than the code of
luminance would be.) Pictures coded as RGB, such as GIFs, become linear luminance.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dvs.errors import FormatError, InputError
from dvs.luminance import Encoding, to_grey
from dvs.video.request import Request

if TYPE_CHECKING:
    from av import VideoFrame

# ITU-T H.273, table 3: the number in the file that names the curve. 2 is "unspecified".
_TRANSFERS = {
    1: "bt709", 2: "srgb", 4: "gamma22", 5: "gamma28", 6: "bt709", 8: "linear", 11: "bt709",
    12: "bt709", 13: "srgb", 14: "bt709", 15: "bt709", 16: "pq", 18: "hlg",
}  # fmt: skip
_LIMITED, _FULL = 1, 2  # colour range, as FFmpeg numbers it

# Pixel formats whose first plane holds luma alone, in the low bits of one or two bytes.
_LUMA_FIRST = re.compile(r"(gray|yuv[ja]?4\d\dp|nv\d\d)(9|10|12|14|16)?(le|be)?")


@dataclass(frozen=True, kw_only=True)
class PixelLayout:
    """How the pictures of a stream are coded; read from the first, and held against the others."""

    pixel_format: str
    coded_width: int
    coded_height: int
    quarter_turns: int  # counter-clockwise, to be upright
    colour: bool
    encoding: Encoding

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the upright picture."""
        size = self.coded_width, self.coded_height
        return size if self.quarter_turns % 2 == 0 else size[::-1]

    def picture(self, frame: "VideoFrame", name: str) -> NDArray:
        """The frame, upright: codes (H, W), or linear light if it is coded in colour.

        Raises InputError if it is coded in another way than the first.
        """
        coded = frame.format.name, frame.width, frame.height
        if coded != (self.pixel_format, self.coded_width, self.coded_height):
            raise InputError(
                f"{name} changes from {self.coded_width}x{self.coded_height} {self.pixel_format} to "
                f"{frame.width}x{frame.height} {frame.format.name}; cut it there, or re-encode it"
            )
        picture = to_grey(_rgb(frame), self.encoding) if self.colour else _luma(frame)
        return np.rot90(picture, self.quarter_turns)


def layout_of(frame: "VideoFrame", name: str, request: Request) -> PixelLayout:
    """The layout of the first frame of a stream.

    Raises FormatError for pixels of more than 16 bits, InputError for an unknown transfer function.
    """
    pixels = frame.format
    bits = max(component.bits for component in pixels.components)
    if bits > 16:
        raise FormatError(f"{name} has {pixels.name} pixels, expected 16 bits at most; convert it")
    luma = _LUMA_FIRST.fullmatch(pixels.name) or not (
        pixels.is_rgb or pixels.has_palette or _has_alpha(frame) or bits < 8
    )
    if not luma:
        black, white = 0, 255 if bits <= 8 else 65535
    elif _is_limited(frame):
        black, white = 16 << (bits - 8), 235 << (bits - 8)
    else:
        black, white = 0, 2**bits - 1
    transfer = request.transfer or _TRANSFERS.get(frame.color_trc)
    if transfer is None and request.encoding is None:
        raise InputError(
            f"{name} has transfer function {frame.color_trc} of H.273, which is not known here; "
            "name one that comes near, for example transfer='bt709'"
        )
    return PixelLayout(
        pixel_format=pixels.name,
        coded_width=frame.width,
        coded_height=frame.height,
        quarter_turns=round(frame.rotation / 90) % 4,
        colour=not luma,
        encoding=request.encoding or Encoding(transfer=transfer, black=black, white=white),
    )


def _is_limited(frame: "VideoFrame") -> bool:
    """Whether black and white are 16 and 235 (four times that with 10 bits) and not the whole range."""
    if frame.color_range in (_LIMITED, _FULL):
        return frame.color_range == _LIMITED
    return not frame.format.name.startswith(("yuvj", "gray"))


def _has_alpha(frame: "VideoFrame") -> bool:
    return any(component.is_alpha for component in frame.format.components)


def _luma(frame: "VideoFrame") -> NDArray:
    """The Y plane, uint8 or uint16 (H, W), as a copy: the decoder reuses its memory."""
    bits = frame.format.components[0].bits
    if not _LUMA_FIRST.fullmatch(frame.format.name):
        # Packed, or in the high bits: FFmpeg moves the same codes into planes.
        frame = frame.reformat(format="yuv444p" if bits == 8 else f"yuv444p{bits}le")
    dtype = np.dtype(np.uint8 if bits == 8 else ">u2" if frame.format.is_big_endian else "<u2")
    plane = frame.planes[0]
    rows = np.frombuffer(plane, dtype).reshape(-1, plane.line_size // dtype.itemsize)
    return rows[: frame.height, : frame.width].astype(dtype.newbyteorder("="))


def _rgb(frame: "VideoFrame") -> NDArray:
    """Red, green, blue and, where the format has it, opacity: uint8 or uint16 (H, W, 3 | 4)."""
    alpha = frame.format.has_palette or _has_alpha(frame)
    if max(component.bits for component in frame.format.components) > 8:
        return frame.to_ndarray(format="rgba64le" if alpha else "rgb48le")
    return frame.to_ndarray(format="rgba" if alpha else "rgb24")
