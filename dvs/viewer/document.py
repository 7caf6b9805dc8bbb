"""The viewer as HTML: a page, or a part of one, that needs nothing but itself."""

import json
from base64 import b64encode
from functools import cache
from html import escape
from importlib.resources import files
from string import Template

from dvs.charts import time_text
from dvs.events import Recording
from dvs.files.recording_file import RecordingFile
from dvs.viewer.packing import MAX_EVENTS, PALETTE_NAMES, check_choice, pack


def page(
    recording: Recording | RecordingFile,
    *,
    title: str = "Event recording",
    max_events: int = MAX_EVENTS,
    palette: str = "auto",
    compress: bool = True,
) -> str:
    """The text of a page with the viewer and the events, about 4 bytes an event; it fetches nothing.

    palette: a name of those in the viewer; auto is light or dark as the reader's settings are. compress=False is for
    browsers older than 2023, and twice as long. Of more than `max_events` an even choice is shown, and the page says
    so. Raises `ParameterError`, and what reading the file raises.
    """
    inner = fragment(recording, max_events=max_events, palette=palette, compress=compress, focus=True)
    facts = [
        f"{recording.width} &times; {recording.height} pixels",
        f"{len(recording):,} events",
        time_text(recording.stop_us - recording.start_us),
    ]
    return _PAGE.substitute(title=escape(title), facts=", ".join(facts), viewer=inner)


def fragment(
    recording: Recording | RecordingFile,
    *,
    max_events: int = MAX_EVENTS,
    palette: str = "auto",
    compress: bool = True,
    focus: bool = False,
    window_us: int | None = None,
    time_us: int | None = None,
) -> str:
    """The viewer for the inside of a page, as wide as what it is in; `page` says what the parameters mean.

    focus: the keys work without a click first. The window begins `window_us` long and ends at `time_us`, in times of
    the recording; if they are not given, the busiest moment and 33 ms are shown.
    """
    check_choice("palette", palette, PALETTE_NAMES)
    packed = pack(recording, max_events=max_events, compress=compress)
    start = {"palette": palette, "window": window_us}
    if time_us is not None:
        start["time"] = int(time_us) - packed.header["start_us"]
    header = {**packed.header, "state": start}
    return _FRAGMENT.substitute(
        header=escape(json.dumps(header)),
        data=b64encode(packed.data).decode(),
        style=source("viewer.css"),
        script=source("viewer.js"),
        focus=json.dumps(focus),
    )


@cache
def source(name: str) -> str:
    """The text of viewer.js or viewer.css."""
    return files("dvs.viewer").joinpath(name).read_text(encoding="utf-8")


_FRAGMENT = Template("""<style>
$style</style>
<div class="dvs-viewer-place" data-header="$header"><noscript>The viewer needs JavaScript.</noscript>\
<script type="text/plain">$data</script></div>
<script type="module">
$script
startAll({ focus: $focus });
</script>""")

# The policy makes the browser refuse whatever is not in the page.
_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'; \
style-src 'unsafe-inline'; img-src data:">
<title>$title</title>
<style>
:root { color-scheme: light dark; --page: #f6f7f9; --ink: #1c2430; --soft: #5d6878; }
@media (prefers-color-scheme: dark) { :root { --page: #11151b; --ink: #e4e8ee; --soft: #98a4b5; } }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.4 system-ui, sans-serif; }
main { max-width: 1800px; margin: 0 auto; padding: 14px 18px; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 2px 16px; margin: 0 2px 10px; }
h1 { font-size: 1.25rem; margin: 0; overflow-wrap: anywhere; }
header p { margin: 0; color: var(--soft); }
main .dvs-viewer { padding: 12px; }
@media (min-width: 680px) {
  main { box-sizing: border-box; min-height: 100vh; display: flex; flex-direction: column; }
  main .dvs-viewer { flex: 1 0 auto; display: flex; flex-direction: column; }
  main .dvs-viewer .dvs-stage { flex: 1 0 220px; height: auto; }
}
</style>
</head>
<body>
<main>
<header><h1>$title</h1><p>$facts</p></header>
$viewer
</main>
</body>
</html>
""")
