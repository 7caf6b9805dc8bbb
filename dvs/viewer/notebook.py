"""The viewer as a widget for notebooks."""

from functools import cache
from typing import TYPE_CHECKING, Any

from dvs.errors import MissingExtraError
from dvs.events import Recording
from dvs.files.recording_file import RecordingFile
from dvs.viewer.document import source
from dvs.viewer.packing import MAX_EVENTS, PALETTE_NAMES, POLARITIES, check_choice, pack

if TYPE_CHECKING:
    from anywidget import AnyWidget


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
    chosen by the viewer: the busiest moment, and 33 ms.

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
    )


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

    return EventViewer
