"""Pictures become a film, one by one."""

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from dvs.errors import FormatError, ParameterError
from dvs.new_file import clear_errors, new_file

_FASTEST_GIF_FPS = 50


class Film:
    """Pictures of one size, encoded one by one into an .mp4 or a .gif; leaving its block gives the file its name.

        with Film(Path("film.mp4"), (480, 640), fps=30) as film:
            film.add(picture)

    shape: rows and columns, both even. colours: opacity, red, green and blue (256, 4) of which pictures (rows, columns)
    of uint8 hold the indices; without them pictures are red, green and blue, (rows, columns, 3). An exception in the
    block discards the file. Raises `OutputError` where it exists or cannot be written, `FormatError` for another
    suffix, and `ParameterError` for a .gif that is faster than players show.
    """

    def __init__(
        self,
        target: Path,
        shape: tuple[int, int],
        *,
        fps: float,
        colours: NDArray[np.uint8] | None = None,
        overwrite: bool = False,
    ) -> None:
        import av

        self._target = target
        self._colours = colours
        kind = target.suffix.lower()
        if kind not in (".mp4", ".gif"):
            raise FormatError(f"a preview is an .mp4 or a .gif, not {target.name}; choose one of these")
        if kind == ".gif" and fps > _FASTEST_GIF_FPS:
            raise ParameterError(
                f"fps = {fps:g}; players slow a .gif down beyond {_FASTEST_GIF_FPS}, give less or write .mp4"
            )
        with ExitStack() as stack:
            temporary = stack.enter_context(new_file(target, overwrite=overwrite))
            self._container = stack.enter_context(av.open(str(temporary), "w", format=kind[1:]))
            codec, options = ("gif", {}) if kind == ".gif" else ("libx264", {"crf": "18", "preset": "veryfast"})
            rate = Fraction(fps).limit_denominator(10_000)
            self._stream = self._container.add_stream(codec, rate=rate, options=options)
            self._stream.height, self._stream.width = shape
            self._stream.pix_fmt = "pal8" if kind == ".gif" else "yuv420p"
            self._open = stack.pop_all()

    def add(self, picture: NDArray[np.uint8]) -> None:
        """Encode a picture."""
        import av

        if self._colours is None:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        else:
            frame = av.VideoFrame.from_ndarray((picture, self._colours), format="pal8")
        with clear_errors(self._target):
            self._container.mux(self._stream.encode(frame))

    def __enter__(self) -> "Film":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with clear_errors(self._target):
            if kind is None:
                with self._open:
                    self._container.mux(self._stream.encode())
            else:
                self._open.__exit__(kind, error, trace)
