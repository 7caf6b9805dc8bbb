"""The viewer as a widget for notebooks."""

from base64 import b64encode
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any

from dvs.errors import MissingExtraError
from dvs.events import Recording
from dvs.files.recording_file import RecordingFile
from dvs.viewer.document import source
from dvs.viewer.packing import MAX_EVENTS, PALETTE_NAMES, POLARITIES, Packed, busiest_us, check_choice, pack

if TYPE_CHECKING:
    from anywidget import AnyWidget

_STILL_PIXELS = 640  # the width that a still picture has at least


def widget(
    recording: Recording | RecordingFile,
    *,
    max_events: int = MAX_EVENTS,
    palette: str = "auto",
    polarity: str = "both",
    window_us: int | None = None,
    time_us: int | None = None,
) -> "AnyWidget":
    """A viewer of the recording for the end of a notebook's cell.

    Its traits follow the viewer and move it: `time_us`, where the window ends, in times of the recording;
    `window_us`; `polarity`: both, on or off; `palette`: auto or a name; `playing`. Times that are not given are
    chosen by the viewer: the busiest moment, and 33 ms. Where no viewer can run, as in a saved notebook, its output is
    a still picture.

    Raises `MissingExtraError` where anywidget is not installed, and `ParameterError`.
    """
    check_choice("palette", palette, PALETTE_NAMES)
    check_choice("polarity", polarity, POLARITIES)
    made = _widget_class()
    packed = pack(recording, max_events=max_events)
    return made(
        _header=packed.header,
        _data=packed.data,
        palette=palette,
        polarity=polarity,
        window_us=window_us,
        time_us=time_us,
        instead={
            "text/plain": f"Viewer of {packed.header['total']:,} events; run this cell to move it",
            "image/png": _still(recording, packed, palette, polarity, window_us, time_us),
        },
    )


def _still(
    recording: Recording | RecordingFile,
    packed: Packed,
    palette: str,
    polarity: str,
    window_us: int | None,
    time_us: int | None,
) -> str:
    """The picture of the window as PNG in base64."""
    import numpy as np
    from PIL import Image

    from dvs.rendering import accumulate

    window_us = window_us or min(33_333, packed.header["span_us"])
    opens_us = busiest_us(packed, window_us) if time_us is None else time_us - window_us
    events = recording.between(opens_us, opens_us + window_us).events
    if polarity != "both":
        events = events[events["p"] == (polarity == "on")]
    picture = accumulate(events, recording.width, recording.height, "light" if palette == "auto" else palette)
    scale = -(-_STILL_PIXELS // recording.width)
    large = np.repeat(np.repeat(picture, scale, axis=0), scale, axis=1)
    # An edge, as the ground may be that of the page.
    large = np.pad(large, ((1, 1), (1, 1), (0, 0)), constant_values=150)
    buffer = BytesIO()
    Image.fromarray(large).quantize(4, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return b64encode(buffer.getvalue()).decode()


@cache
def _widget_class() -> type[Any]:
    try:
        import anywidget
        import traitlets
    except ImportError as error:
        raise MissingExtraError(
            "the viewer in a notebook needs anywidget; install it with pip install 'microsaccade[notebook]'"
        ) from error

    class EventViewer(anywidget.AnyWidget):
        """A recording in a notebook; `dvs.viewer.widget` makes it."""

        _esm = source("viewer.js")
        _css = source("viewer.css")
        _header = traitlets.Dict().tag(sync=True)
        _data = traitlets.Bytes().tag(sync=True)
        time_us = traitlets.Int(None, allow_none=True).tag(sync=True)
        window_us = traitlets.Int(None, allow_none=True, min=1).tag(sync=True)
        polarity = traitlets.Enum(POLARITIES, "both").tag(sync=True)
        palette = traitlets.Enum(PALETTE_NAMES, "auto").tag(sync=True)
        playing = traitlets.Bool(False).tag(sync=True)
        instead = traitlets.Dict()  # what is shown where nothing can move; not sent to the viewer

        def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
            data, metadata = super()._repr_mimebundle_(**kwargs)
            return {**data, **self.instead}, metadata

    return EventViewer
