"""The report: complete, self-contained, the same however the events came."""

import json
import re
import xml.etree.ElementTree as ET
from base64 import b64decode
from html import unescape
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from dvs import charts, statistics
from dvs.errors import OutputError
from dvs.events import Recording, empty_events, make_events
from dvs.palettes import PALETTES
from dvs.report import write_report
from dvs.sensors import Sensor, Source


def recording(hot=False, provenance=None):
    """2000 random events of a 20 x 16 sensor in 2 s; 100 more of pixel (7, 5) if hot."""
    rng = np.random.default_rng(3)
    x, y = rng.integers(0, 20, 2000), rng.integers(0, 16, 2000)
    if hot:
        x, y = np.append(x, np.full(100, 7)), np.append(y, np.full(100, 5))
    t_us = np.sort(rng.integers(0, 2_000_000, x.size))
    events = make_events(x, y, t_us, rng.integers(0, 2, x.size))
    return Recording(events=events, width=20, height=16, stop_us=2_000_000, provenance=provenance or {})


@pytest.fixture
def report(tmp_path):
    """Writes a report and returns its text."""

    def write(source, **options):
        write_report(source, tmp_path / "report.html", overwrite=True, **options)
        return (tmp_path / "report.html").read_text(encoding="utf-8")

    return write


@pytest.fixture
def silent():
    """A recording without events: its report has no drawings, which takes a tenth of the time."""
    return Recording(events=empty_events(), width=20, height=16, stop_us=1_000_000)


class Tags(HTMLParser):
    """Checks that tags close in order; collects names of parts, and the text."""

    ALONE = ("meta", "img", "br")

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in self.ALONE:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.ids += [value for name, value in attributes if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def parsed(page):
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    return tags


def text_of(page):
    return " ".join(" ".join(parsed(page).text).split())


def test_the_page_is_whole_and_needs_nothing_else(report):
    page = report(recording(hot=True), pictures={"a picture": np.zeros((16, 20, 3), np.uint8)})
    tags = parsed(page)
    assert len(tags.ids) == len(set(tags.ids))
    targets = re.findall(r'\b(?:src|href)="([^"]*)"', page) + re.findall(r"url\(([^)]*)\)", page)
    assert targets
    assert all(target.startswith(("data:image/png;base64,", "#")) for target in targets)
    assert {target[1:] for target in targets if target.startswith("#")} <= set(tags.ids)
    assert not re.search(r"<script|<link|<iframe|@import", page)


def test_drawings_are_sound_and_in_the_ink_of_the_page(report):
    page = report(recording())
    drawings = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(drawings) == 5
    for drawing in drawings:
        xlink = "" if "xmlns:xlink" in drawing else ' xmlns:xlink="http://www.w3.org/1999/xlink"'
        ET.fromstring(drawing.replace("<svg", f"<svg{xlink}", 1))
    assert "Hot pixels" not in page
    assert "currentColor" in page
    assert charts.INK not in page


def test_the_key_numbers_are_there(report):
    """2000 events in 2 s on 320 pixels: 1 kev/s, 3.125 ev/s a pixel."""
    page = text_of(report(recording(provenance={"seed": 4711}), title="a street"))
    for expected in ("a street", "2,000", "2 s", "1 kev/s", "3.12 ev/s a pixel", "20 \u00d7 16", "0 hot", "4711"):
        assert expected in page


def test_hot_pixels_are_listed_and_ringed(report):
    page = report(recording(hot=True))
    assert re.search(r"Hot pixels: 1 .*\(7, 5\): 5\d(\.\d)? ev/s", text_of(page))
    assert page.count('<circle cx="7.5" cy="5.5"') == 2


def test_streamed_statistics_make_the_same_page(report):
    """Twenty chunks through an accumulator, none of them kept; and the same bytes each time."""
    whole = recording(hot=True)
    seen = statistics.begin(whole.width, whole.height)
    for start_us in range(0, 2_000_000, 100_000):
        seen = statistics.advance(seen, whole.between(start_us, start_us + 100_000).events, start_us + 100_000)
    assert report(seen, title="same") == report(whole, title="same")


def test_a_silent_recording_has_a_report(report, silent):
    page = text_of(report(silent))
    assert "No pixel fired" in page
    assert "0 ev/s" in page


@pytest.mark.parametrize("rows", [[(0, 0, 5, 1)], [(0, 0, 5, 1), (0, 0, 5, 0)], [(0, 0, 0, 0), (3, 3, 1_023_999, 0)]])
def test_a_few_events_have_a_report(report, rows):
    x, y, t_us, p = np.array(rows).T
    parsed(report(Recording(events=make_events(x, y, t_us, p), width=4, height=4, stop_us=1_024_000)))


def test_a_burst_of_microseconds_has_a_report(report):
    """Three events in 5 us: all intervals are shorter than the chart of intervals begins."""
    burst = make_events([1, 1, 1], [2, 2, 2], [1, 3, 5], [1, 0, 1])
    assert "600 kev/s" in text_of(report(Recording(events=burst, width=4, height=4)))


def test_an_event_at_the_end_belongs_to_the_last_bin():
    """4 ms with an ON event in each, and one at 4 ms: 1, 1, 1 and 2 kHz; no OFF."""
    t_us = [500, 1500, 2500, 3500, 4000]
    events = make_events(np.zeros(5), np.zeros(5), t_us, np.ones(5))
    seen = statistics.accumulate(Recording(events=events, width=4, height=4))
    on, off = charts.rate_chart(seen).axes[0].patches
    assert on.get_data().values.tolist() == pytest.approx([1000, 1000, 1000, 2000])
    assert on.get_data().edges.tolist() == pytest.approx([0, 0.001, 0.002, 0.003, 0.004])
    assert not off.get_data().values.any()


def test_the_sensor_is_shown_with_units_sources_and_estimates(report, silent):
    sources = {
        "theta_on": Source(unit="ln", source="Brandli <2014>"),
        "latency_us": Source(unit="us", source="guessed", estimate=True),
    }
    page = report(silent, sensor=Sensor(name="mine", theta_on=0.25, latency_us=12.5, sources=sources))
    assert "<th>theta_on</th><td>0.25</td><td>ln</td><td>Brandli &lt;2014&gt;</td>" in page
    assert re.search(r"<th>latency_us</th><td>12.5</td><td>.s</td><td>guessed <span[^>]*>estimate</span>", page)
    assert "<th>cutoff_hz</th><td>none</td><td>Hz</td><td>default, as in an ideal sensor</td>" in page
    assert page.count(">estimate<") == 1


def test_provenance_is_written_out(report, silent):
    provenance = {"version": "0.1", "source": {"sha256": "ab12", "name": "<b>.mp4"}, "sensor": {"theta": 0.2}}
    page = report(silent, provenance=provenance)
    assert "<th>source.sha256</th><td>ab12</td>" in page
    assert "<th>source.name</th><td>&lt;b&gt;.mp4</td>" in page
    assert "<th>sensor.theta</th>" in page
    assert "<th>sensor.theta</th>" not in report(silent, provenance=provenance, sensor=Sensor())


def test_what_was_not_given_is_a_dash_in_the_provenance(report, silent):
    values = {"crop": [0, 0, 0, 0], "fps": None, "partial": False, "still": True, "seed": 0, "roi": [1, 0, 5]}
    page = report(silent, provenance=values)
    for name, text in {
        "crop": "\N{EN DASH}",
        "fps": "\N{EN DASH}",
        "partial": "no",
        "still": "yes",
        "seed": "0",
        "roi": "1, 0, 5",
    }.items():
        assert f"<th>{name}</th><td>{text}</td>" in page


def test_a_recording_as_a_picture_is_light_or_dark_as_the_page_is(report, silent):
    """The same events in both palettes, one of them for each setting of the reader."""
    events = make_events([0, 1], [0, 0], [10, 20], [1, 0])
    moment = Recording(events=events, width=3, height=1, start_us=5, stop_us=30)
    page = report(silent, pictures={"a moment": moment})
    found = re.search(
        r'<source srcset="([^"]*)" media="([^"]*)"><img class="[^"]*" src="([^"]*)" alt="a moment">', page
    )
    assert found[2] == "screen and (prefers-color-scheme: dark)"
    for address, name in ((found[1], "dark"), (found[3], "light")):
        colours = PALETTES[name]
        expected = [colours.on, colours.off, colours.background]
        picture = Image.open(BytesIO(b64decode(address.removeprefix("data:image/png;base64,"))))
        assert [picture.getpixel((x, 0)) for x in range(3)] == expected


def test_the_player_begins_at_the_moment_of_the_picture(report):
    """The picture shows [300, 333) ms: the window of the player ends at 333 ms and is 33 ms long."""
    whole = recording()
    page = report(whole, pictures={"a moment": whole.between(300_000, 333_000)}, player=whole)
    header = json.loads(unescape(re.search(r'data-header="([^"]*)"', page)[1]))
    assert header["state"] == {"palette": "auto", "window": 33_000, "time": 333_000}


def test_the_maps_have_a_colour_bar(report):
    """From nothing to as many events as the text below says."""
    page = report(recording())
    bars = re.findall(
        r'<span>0</span><img src="data:image/png;base64,([^"]*)" alt=""><span>(\d+) or more</span></div>'
        r"<figcaption>\w+ events per pixel; full colour is (\d+) or more",
        page,
    )
    assert len(bars) == 2
    for strip, full, said in bars:
        bar = np.asarray(Image.open(BytesIO(b64decode(strip))))[0, :, 3]
        assert full == said
        assert (bar[0], bar[-1], (np.diff(bar.astype(int)) >= 0).all()) == (0, 255, True)


def test_warnings_stand_at_the_top_and_text_stays_text(report, silent):
    page = report(silent, title="<script>alert(1)</script>", warnings=["few & far"])
    assert "few &amp; far" in page
    assert page.index("few &amp; far") < page.index("Event rate")
    assert "<script>" not in page
    assert "Warnings" not in report(silent)


def test_an_existing_report_is_not_harmed(tmp_path, silent):
    path = tmp_path / "report.html"
    path.write_text("precious")
    with pytest.raises(OutputError, match="exists"):
        write_report(silent, path)
    assert path.read_text() == "precious"
    write_report(silent, path, overwrite=True)
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert list(tmp_path.iterdir()) == [path]
