"""The report of a recording: one HTML page that needs nothing but itself.

Pictures, and the player if events are given for it, are inside it, and nothing is fetched; so it can be mailed, kept
beside the events, and read in ten years. Light and dark follow the reader's settings.
"""

import json
import math
import os
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import fields
from html import escape
from io import BytesIO, StringIO
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dvs import charts, rendering
from dvs.charts import time_text, with_prefix
from dvs.events import Recording
from dvs.files.recording_file import RecordingFile
from dvs.new_file import clear_errors, new_file
from dvs.rendering import Picture
from dvs.sensors import Sensor, Source
from dvs.statistics import Accumulator, Summary, accumulate, count_map, hot_pixels, summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_HOT_PIXELS_LISTED = 40
_MOST_PLAYED = 1_000_000  # events in the player: about 5 MB of the page


def write_report(
    source: Recording | Accumulator,
    path: str | os.PathLike[str],
    *,
    title: str = "Event recording",
    sensor: Sensor | None = None,
    provenance: Mapping[str, Any] | None = None,
    pictures: Mapping[str, Picture | Recording] | None = None,
    player: Recording | RecordingFile | None = None,
    warnings: Sequence[str] = (),
    overwrite: bool = False,
) -> None:
    """Write the report of a recording, or of what an accumulator has seen of one.

    `sensor` adds the table of its parameters with their sources, `pictures` are shown above the
    statistics, each with its key as caption: (H, W) or (H, W, 3) uint8, or a recording, of which the last event of each
    pixel is seen, light or dark as the rest of the page. `player` are events to play, about 4 bytes each in the page
    (`dvs.viewer`), from the moment of the first such recording on. `provenance` is that of the recording by default;
    its "sensor" is left out where `sensor` has a table.
    Raises `OutputError` where the file exists or cannot be written.
    """
    if provenance is None:
        provenance = source.provenance if isinstance(source, Recording) else {}
    page = _page(source, title, sensor, provenance, pictures or {}, player, warnings)
    with new_file(path, overwrite=overwrite) as temporary, clear_errors(Path(path)):
        temporary.write_text(page, encoding="utf-8")


def _page(
    source: Recording | Accumulator,
    title: str,
    sensor: Sensor | None,
    provenance: Mapping[str, Any],
    pictures: Mapping[str, Picture | Recording],
    player: Recording | RecordingFile | None,
    warnings: Sequence[str],
) -> str:
    seen = source if isinstance(source, Accumulator) else accumulate(source)
    numbers = summary(seen)
    sections = [
        _warnings(warnings),
        _tiles(numbers, sensor, provenance),
        _stills(pictures),
        _player(player, next((each for each in pictures.values() if isinstance(each, Recording)), None)),
        _statistics(seen),
        _sensor_table(sensor),
        _provenance({key: value for key, value in provenance.items() if key != "sensor" or sensor is None}),
    ]
    return _PAGE.substitute(title=escape(title), style=_STYLE, body="\n".join(filter(None, sections)))


# The numbers


def _warnings(warnings: Sequence[str]) -> str:
    lines = "".join(f"<li>{escape(warning)}</li>" for warning in warnings)
    return f'<section class="warnings"><h2>Warnings</h2><ul>{lines}</ul></section>' if lines else ""


def _tiles(numbers: Summary, sensor: Sensor | None, provenance: Mapping[str, Any]) -> str:
    interval_us = numbers.median_interval_us
    tiles = [
        ("Events", f"{numbers.events:,}", f"{_percent(numbers.on_share)} ON"),
        ("Duration", time_text(numbers.duration_s * 1e6), "watched"),
        (
            "Event rate",
            with_prefix(numbers.rate_hz, "ev/s"),
            f"{with_prefix(numbers.rate_per_pixel_hz, 'ev/s')} a pixel",
        ),
        ("Sensor", f"{numbers.width} &times; {numbers.height}", escape(sensor.name) if sensor else "pixels"),
        ("Active pixels", _percent(numbers.active_share), f"{numbers.hot_pixels} hot"),
        ("Polarity flips", _percent(numbers.polarity_flips), "of successive events of a pixel"),
        (
            "Median interval",
            "none" if interval_us is None else time_text(interval_us),
            "between events of a pixel",
        ),
    ]
    if "seed" in provenance:
        tiles.append(("Seed", escape(str(provenance["seed"])), "of all that is drawn by chance"))
    cells = (f'<div><dt>{label}</dt><dd>{value}</dd><dd class="note">{note}</dd></div>' for label, value, note in tiles)
    return f'<dl class="tiles">{"".join(cells)}</dl>'


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


# The pictures


def _player(events: Recording | RecordingFile | None, moment: Recording | None) -> str:
    """The events to play, beginning with what was watched in the moment."""
    if events is None or not len(events):
        return ""
    from dvs.viewer import fragment

    begins: dict[str, int] = {}
    if moment is not None and moment.stop_us is not None:
        begins = {"time_us": moment.stop_us, "window_us": moment.stop_us - moment.start_us}
    return f"<section><h2>Player</h2>{fragment(events, max_events=_MOST_PLAYED, **begins)}</section>"


def _stills(pictures: Mapping[str, Picture | Recording]) -> str:
    shown = "".join(_figure(_still(picture, escape(caption)), escape(caption)) for caption, picture in pictures.items())
    return f'<section class="grid">{shown}</section>' if shown else ""


def _still(picture: Picture | Recording, text: str) -> str:
    if not isinstance(picture, Recording):
        return f'<img class="pixels" src="{_png(picture)}" alt="{text}">'
    light, dark = (
        _png(rendering.accumulate(picture.events, picture.width, picture.height, palette))
        for palette in ("light", "dark")
    )
    return (
        f'<picture><source srcset="{dark}" media="screen and (prefers-color-scheme: dark)">'
        f'<img class="pixels events" src="{light}" alt="{text}"></picture>'
    )


def _statistics(seen: Accumulator) -> str:
    if len(seen) == 0:
        return "<h2>Statistics</h2><p>No pixel fired: there is nothing to show.</p>"
    hot = hot_pixels(seen)
    figures = [
        _map(seen, 1, hot),
        _map(seen, 0, hot),
        _chart(charts.rate_chart(seen), "Event rate over time", "ON upwards, OFF downwards.", wide=True),
        _chart(
            charts.interval_chart(seen),
            "Intervals between successive events of a pixel",
            "Share of the intervals in each decade of length. Dashed: what Poisson pixels would make at the "
            "mean rate of the active ones.",
        ),
        _chart(
            charts.pixel_rate_chart(seen),
            "Rates of the pixels",
            "Share of all pixels that fire at least at this rate; hot pixels lie far to the right.",
        ),
        _hot_list(seen, hot),
    ]
    return f'<h2>Statistics</h2><section class="grid">{"".join(figures)}</section>'


def _figure(content: str, note: str, heading: str = "", wide: bool = False) -> str:
    tag = '<figure class="wide">' if wide else "<figure>"
    return f"{tag}{heading and f'<h3>{heading}</h3>'}{content}<figcaption>{note}</figcaption></figure>"


def _map(seen: Accumulator, polarity: int, hot: NDArray[np.bool_]) -> str:
    """Events per pixel as strength of colour, hot pixels ringed."""
    counts = count_map(seen, polarity)
    name, colour = ("ON", charts.ON) if polarity else ("OFF", charts.OFF)
    # A few loud pixels must not leave the rest invisible.
    full = max(1, round(np.percentile(counts[counts > 0], 99))) if counts.any() else 1
    rgba = np.empty((*counts.shape, 4), np.uint8)
    rgba[..., :3] = list(bytes.fromhex(colour[1:]))
    rgba[..., 3] = _strength(counts / full)
    radius = max(2, seen.width // 60)
    rings = "".join(f'<circle cx="{x + 0.5}" cy="{y + 0.5}" r="{radius}"/>' for y, x in _loudest(seen, hot))
    note = f"{name} events per pixel; full colour is {full} or more{', hot pixels ringed' * bool(rings)}."
    drawing = (
        f'<svg class="map" viewBox="0 0 {seen.width} {seen.height}" role="img" aria-label="{note}"><image '
        f'class="pixels" width="{seen.width}" height="{seen.height}" href="{_png(rgba)}"/>{rings}</svg>'
    )
    bar = np.empty((1, 256, 4), np.uint8)
    bar[..., :3] = rgba[0, 0, :3]
    bar[..., 3] = _strength(np.linspace(0, 1, 256))
    scale = f'<div class="scale"><span>0</span><img src="{_png(bar)}" alt=""><span>{full} or more</span></div>'
    return _figure(drawing + scale, note, f"{name} events")


def _strength(share: NDArray[np.floating]) -> NDArray[np.uint8]:
    """How opaque a share of the full colour is; its root, so that single events are seen."""
    return np.round(255 * np.sqrt(np.minimum(share, 1))).astype(np.uint8)


def _loudest(seen: Accumulator, hot: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(y, x) of the hot pixels with the most events, as many as a page can list."""
    places = np.argwhere(hot)
    order = np.argsort(-count_map(seen)[hot], kind="stable")
    return [(int(y), int(x)) for y, x in places[order[:_MOST_HOT_PIXELS_LISTED]]]


def _hot_list(seen: Accumulator, hot: NDArray[np.bool_]) -> str:
    if not hot.any():
        return ""
    counts = count_map(seen)
    listed = "".join(
        f"<li>({x}, {y}): {with_prefix(counts[y, x] / seen.duration_s, 'ev/s')}</li>" for y, x in _loudest(seen, hot)
    )
    note = "Pixels that fire far more than the 24 around them, at (x, y), the loudest first."
    return _figure(f'<ul class="columns">{listed}</ul>', note, f"Hot pixels: {hot.sum()}", wide=True)


def _chart(figure: "Figure", name: str, note: str, wide: bool = False) -> str:
    return _figure(_svg(figure, name), note, name, wide)


def _png(picture: Picture) -> str:
    """A picture (H, W), (H, W, 3) or (H, W, 4) as an address that holds it."""
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{b64encode(buffer.getvalue()).decode()}"


def _svg(figure: "Figure", name: str) -> str:
    """A figure as SVG for the inside of a page: its ink is that of the text around it."""
    import matplotlib as mpl

    buffer = StringIO()
    # The salt makes the names of parts differ within a page and repeat from run to run.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    head, rest = drawing.split(">", 1)
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    rest = re.sub(r"<metadata>.*?</metadata>", "", rest, flags=re.DOTALL)
    used = set(re.findall(r"#([\w-]+)", rest))
    rest = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", rest)
    return f'{head} class="chart" role="img" aria-label="{name}">{rest}'.replace(charts.INK, "currentColor")


# The tables


def _sensor_table(sensor: Sensor | None) -> str:
    if sensor is None:
        return ""
    rows = [("parameter", "value", "unit", "source")]
    for each in fields(Sensor):
        if "unit" not in each.metadata:
            continue
        unit, value = each.metadata["unit"], getattr(sensor, each.name)
        source = sensor.sources.get(each.name, Source(unit=unit, source="default, as in an ideal sensor"))
        mark = ' <span class="estimate">estimate</span>' if source.estimate else ""
        rows.append((each.name, _value(value), {"us": "µs"}.get(unit, unit), escape(source.source) + mark))
    return f"<h2>Sensor: {escape(sensor.name)}</h2>{_table(rows, 'sensor')}"


def _value(value: float | str | None) -> str:
    if value is None:
        return "not given"
    if isinstance(value, str):
        return escape(value)
    return "none" if value == math.inf else f"{value:.4g}"


def _provenance(provenance: Mapping[str, Any]) -> str:
    rows = [(escape(name), escape(text)) for name, text in _flat(provenance)]
    return f"<h2>Provenance</h2>{_table([('parameter', 'value'), *rows])}" if rows else ""


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested mappings as (dotted name, text)."""
    rows = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            rows += _flat(value, f"{name}.")
        else:
            rows.append((name, _plain(value)))
    return rows


def _plain(value: Any) -> str:
    """A value as one would write it; a dash for what was not given or is nothing but zeros."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or (isinstance(value, list | tuple) and not any(value)):
        return "\N{EN DASH}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _table(rows: Sequence[tuple[str, ...]], kind: str = "") -> str:
    """A table of HTML cells; the first row and the first column are headings."""
    head = "".join(f"<th>{cell}</th>" for cell in rows[0])
    body = "".join(
        f"<tr><th>{name}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>" for name, *cells in rows[1:]
    )
    return f'<table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


_STYLE = """
:root { color-scheme: light dark; --page: #f6f7f9; --card: #fff; --ink: #1c2430; --soft: #5d6878;
  --line: #dfe3e9; --warn: #8a5200; --warn-page: #fff4e0; }
@media (prefers-color-scheme: dark) { :root { --page: #11151b; --card: #191f28; --ink: #e4e8ee;
  --soft: #98a4b5; --line: #2b3441; --warn: #ffc46b; --warn-page: #2d2413; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 1.5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .8rem; }
h3 { font-size: .95rem; margin: 0 0 .6rem; }
.tiles { display: flex; flex-wrap: wrap; gap: .75rem; margin: 0; }
.tiles div { flex: 1 1 220px; }
.tiles div, figure, .warnings { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: .8rem 1rem; margin: 0; }
dt, .note, figcaption { color: var(--soft); font-size: .82rem; }
dd { margin: 0; font-size: 1.35rem; font-weight: 600; white-space: nowrap; }
dd.note { font-size: .82rem; font-weight: 400; min-height: 1.25rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(430px, 100%), 1fr)); gap: .75rem; }
.wide { grid-column: 1 / -1; }
.tiles + .grid { margin-top: .75rem; }
figcaption { margin-top: .5rem; }
svg, img { display: block; width: 100%; height: auto; }
.pixels { image-rendering: pixelated; }
.events { border: 1px solid var(--line); }
.scale { display: flex; align-items: center; gap: .5rem; color: var(--soft); font-size: .82rem; margin-top: .6rem; }
.scale img { flex: 1; width: 0; height: .6rem; border: 1px solid var(--line); }
.map { border: 1px solid var(--line); }
.map circle { fill: none; stroke: currentColor; vector-effect: non-scaling-stroke; }
.chart text { font-family: inherit !important; }
.warnings { background: var(--warn-page); color: var(--warn); margin-bottom: .75rem; }
.warnings h2 { margin: 0; font-size: 1rem; } .warnings ul { margin: .3rem 0 0; padding-left: 1.2rem; }
table { border-collapse: collapse; width: 100%; font-size: .85rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; overflow-wrap: anywhere;
  border-bottom: 1px solid var(--line); }
th { font-weight: 500; white-space: nowrap; }
thead th { color: var(--soft); }
.sensor td:nth-child(2), .sensor th:nth-child(2) { text-align: right; white-space: nowrap; }
.sensor td:nth-child(3) { white-space: nowrap; }
.columns { columns: 9rem; list-style: none; padding: 0; margin: 0; }
.estimate { color: var(--warn); background: var(--warn-page); border-radius: 4px; padding: 0 .35em;
  font-size: .75rem; }
@media print { :root { --page: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #ccc; --warn: #6b3f00;
  --warn-page: #fff; } main { max-width: none; padding: 0; } figure, tr, .tiles div { break-inside: avoid; }
  h2 { break-after: avoid; } .grid { grid-template-columns: 1fr 1fr; } }
"""

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>$style</style>
</head>
<body>
<main>
<h1>$title</h1>
$body
</main>
</body>
</html>
""")
