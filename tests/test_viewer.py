"""The viewer: what travels to it, and what is seen in a real browser."""

import gzip
import io
import json
import re
import shutil
import sys
from base64 import b64decode, b64encode
from html.parser import HTMLParser

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import dvs.viewer
from dvs.errors import MissingExtraError, ParameterError
from dvs.events import Recording, empty_events, make_events
from dvs.files import open as open_recording
from dvs.files import write
from dvs.palettes import PALETTES
from dvs.rendering import accumulate
from dvs.viewer import notebook
from dvs.viewer.__main__ import main
from dvs.viewer.document import source
from dvs.viewer.packing import busiest_us, pack

START_US = 1_000_000


def moving_bar(events=20_000, width=64, height=48, seed=4):
    """A bar that crosses the sensor once in 1 s: ON events at its front, OFF at its back, a tenth of them noise."""
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(0, 1_000_000, events))
    p = rng.integers(0, 2, events)
    x = (t * (width - 8) // 1_000_000) + 6 * p
    noise = rng.random(events) < 0.1
    x = np.where(noise, rng.integers(0, width, events), x)
    made = make_events(x, rng.integers(0, height, events), t + START_US, p)
    return Recording(events=made, width=width, height=height, start_us=START_US, stop_us=START_US + 1_000_000)


def unpacked(packed):
    """What is written in the docstring of packing.py, read back: (x, y, t_us, p, rates)."""
    header = packed.header
    data = gzip.decompress(packed.data) if header["gzip"] else packed.data
    count, bins = header["count"], header["bins"]
    sizes = [("<u4", count), ("<u4", bins), ("<u4", bins), ("<u2", count), ("<u2", count)]
    columns, offset = [], 0
    for kind, length in sizes:
        columns.append(np.frombuffer(data, kind, length, offset))
        offset += columns[-1].nbytes
    assert offset == len(data)
    steps, off, on, x, y = columns
    t_us = header["start_us"] + np.cumsum(steps, dtype=np.uint64).astype(np.int64) * header["tick_us"]
    return x & 0x7FFF, y, t_us, x >> 15, np.stack([off, on])


# What travels


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 32766), st.integers(0, 32766), st.integers(0, 2**32 - 2), st.integers(0, 1))),
    st.integers(-(2**40), 2**40),
    st.booleans(),
)
def test_any_recording_below_71_minutes_travels_without_loss(events, start_us, compress):
    events.sort(key=lambda event: event[2])
    x, y, t, p = np.array(events, np.int64).reshape(-1, 4).T
    made = make_events(x, y, t + start_us, p)
    recording = Recording(events=made, width=32767, height=32767, start_us=start_us)
    packed = pack(recording, compress=compress)
    for name, column in zip("xytp", unpacked(packed), strict=False):
        np.testing.assert_array_equal(column, made[name])
    assert packed.header["tick_us"] == 1


def test_a_recording_of_three_hours_is_exact_to_its_tick():
    """3 h = 10.8e9 us need ceil(10.8e9 / 2^32) = 3 us a tick."""
    t = np.array([0, 7, 5_400_000_001, 10_800_000_000])
    recording = Recording(events=make_events([1, 2, 3, 4], [0] * 4, t, [0, 1, 0, 1]), width=9, height=9)
    packed = pack(recording)
    assert packed.header["tick_us"] == 3
    late_us = t - unpacked(packed)[2]
    assert (late_us >= 0).all()
    assert (late_us < 3).all()


def test_the_rates_count_every_event_in_its_bin():
    recording = moving_bar()
    off, on = unpacked(pack(recording))[-1]
    span_us, t = recording.stop_us - recording.start_us + 1, recording.events["t"] - START_US
    for p, counts in ((0, off), (1, on)):
        expected = np.bincount(t[recording.events["p"] == p] * 600 // span_us, minlength=600)
        np.testing.assert_array_equal(counts, expected)


def test_of_too_many_events_one_of_each_run_is_kept_and_the_header_says_so():
    """20,000 events to 2,000: exactly one of each ten in a row; the rates count all."""
    recording = moving_bar()
    packed = pack(recording, max_events=2000)
    assert (packed.header["count"], packed.header["total"]) == (2000, 20_000)
    x, y, t, p, rates = unpacked(packed)
    assert rates.sum() == 20_000
    for run in range(2000):
        ten = recording.events[10 * run : 10 * run + 10]
        assert (x[run], y[run], t[run], p[run]) in {(e["x"], e["y"], e["t"], e["p"]) for e in ten}
    assert pack(recording, max_events=2000) == packed


def test_the_choice_follows_no_rhythm_of_the_readout():
    """Events in turn from even and odd rows: every second one by count would be one row, by chance it is both."""
    n = 10_000
    rows = np.arange(n) % 2
    made = make_events(np.zeros(n, int), rows, np.arange(n), np.ones(n, int))
    _, y, *_ = unpacked(pack(Recording(events=made, width=1, height=2), max_events=n // 2))
    # 5000 fair coins: 6 standard deviations are 0.042.
    assert abs(y.mean() - 0.5) < 0.042


def test_a_recording_in_a_file_packs_as_one_in_memory(tmp_path):
    recording = moving_bar()
    write(tmp_path / "bar.h5", recording)
    lazy = open_recording(tmp_path / "bar.h5")
    assert not isinstance(lazy, Recording)
    for most in (100_000, 500):
        assert pack(lazy, max_events=most) == pack(recording, max_events=most)


def test_less_than_one_event_is_refused():
    with pytest.raises(ParameterError, match="max_events = 0; give a whole number from 1 on"):
        pack(moving_bar(), max_events=0)


def test_the_palettes_that_users_know_are_there():
    assert {"dark", "light", "metavision", "dv", "redblue", "grey"} <= set(PALETTES)
    with pytest.raises(ParameterError, match="palette = 'rainbow'; choose one of auto, dark"):
        dvs.viewer.page(moving_bar(), palette="rainbow")


# The page


class Tags(HTMLParser):
    """All tags with their attributes."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def test_the_page_fetches_nothing():
    page = dvs.viewer.page(moving_bar(), title="<b>bar</b> & co")
    assert "http:" not in page.replace("http-equiv", "")
    assert "https:" not in page
    assert "<title>&lt;b&gt;bar&lt;/b&gt; &amp; co</title>" in page
    tags = Tags()
    tags.feed(page)
    assert not [tag for tag, attributes in tags.found if {"src", "href"} & set(attributes)]
    assert not re.search(r"@import|url\(|\bimport\b *[\"'(]", source("viewer.css") + source("viewer.js"))
    policy = next(attributes["content"] for _, attributes in tags.found if attributes.get("http-equiv"))
    assert policy.startswith("default-src 'none'")


def test_the_script_cannot_end_its_own_element():
    assert "</script" not in source("viewer.js").lower()
    assert "</style" not in source("viewer.css").lower()


def test_the_same_recording_makes_the_same_page():
    assert dvs.viewer.page(moving_bar()) == dvs.viewer.page(moving_bar())


def test_an_event_takes_some_bytes_of_the_page():
    """8 bytes an event raw, 4/3 of that as text; compressed it must be less."""
    few, many = (len(dvs.viewer.page(moving_bar(n))) for n in (10_000, 30_000))
    assert (many - few) / 20_000 < 8


# The command


@pytest.fixture
def bar_file(tmp_path):
    write(tmp_path / "bar.h5", moving_bar())
    return tmp_path / "bar.h5"


@pytest.fixture
def opened(monkeypatch):
    """The addresses that a browser was asked to open."""
    addresses = []
    monkeypatch.setattr("webbrowser.open", lambda address: addresses.append(address) or True)
    return addresses


def dvs_view(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


def header_of(path):
    tags = Tags()
    tags.feed(path.read_text(encoding="utf-8"))
    return json.loads(next(attributes["data-header"] for _, attributes in tags.found if "data-header" in attributes))


def test_the_command_writes_a_page_and_opens_it(bar_file, tmp_path, opened):
    page = tmp_path / "bar.html"
    result = dvs_view(bar_file, "--output", page)
    assert (result.exit_code, result.output) == (0, f"written {page}\n")
    assert opened == [page.as_uri()]
    assert header_of(page)["total"] == 20_000


def test_without_an_output_the_page_is_temporary(bar_file, tmp_path, opened, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    result = dvs_view(bar_file, "--no-browser", "--max-events", 100)
    (page,) = tmp_path.glob("dvs-view-*/bar.html")
    assert result.output == f"written {page}\n"
    assert opened == []
    assert header_of(page)["count"] == 100


def test_the_command_cuts_in_seconds_after_the_recording_begins(bar_file, tmp_path):
    dvs_view(bar_file, "--no-browser", "-o", tmp_path / "a.html", "--start", 0.25, "--stop", 0.5)
    header = header_of(tmp_path / "a.html")
    t = moving_bar().events["t"]
    assert header["start_us"] == START_US + 250_000
    assert header["total"] == np.sum((t >= START_US + 250_000) & (t < START_US + 500_000))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--start", "2"], "--start 2 and --stop 1 leave nothing of 1 s"),
        (["--start", "0.5", "--stop", "0.5"], "--start 0.5 and --stop 0.5 leave nothing of 1 s"),
        (["--output", "bar.h5"], "exists; choose another name"),
        (["--output", "none/page.html"], "there is no folder none"),
    ],
)
def test_the_command_says_in_a_line_what_is_wrong(bar_file, options, message, monkeypatch):
    monkeypatch.chdir(bar_file.parent)
    result = dvs_view(bar_file, "--no-browser", *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_without_a_browser_the_command_says_so(bar_file, tmp_path, monkeypatch):
    monkeypatch.setattr("webbrowser.open", lambda address: False)
    result = dvs_view(bar_file, "-o", tmp_path / "page.html")
    assert result.exit_code == 0
    assert "no browser was found; open the page yourself" in result.stderr


# The widget


def test_a_widget_without_anywidget_names_the_extra(monkeypatch):
    notebook._widget_class.cache_clear()
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'microsaccade\[notebook\]'"):
        dvs.viewer.widget(moving_bar())


def test_the_traits_of_the_widget_say_what_is_shown():
    pytest.importorskip("anywidget", reason="anywidget is not installed")
    made = dvs.viewer.widget(moving_bar(), palette="dv", polarity="on", window_us=5000)
    assert (made.palette, made.polarity, made.window_us, made.time_us) == ("dv", "on", 5000, None)
    assert (made._header, made._data) == (pack(moving_bar()).header, pack(moving_bar()).data)
    sent = made.get_state()
    assert {"_header", "_data", "time_us", "window_us", "polarity", "palette", "playing"} <= set(sent)
    with pytest.raises(Exception, match="polarity"):
        made.polarity = "loud"
    with pytest.raises(ParameterError, match="polarity = 'loud'; choose one of both, on, off"):
        dvs.viewer.widget(moving_bar(), polarity="loud")


def test_where_no_viewer_can_run_its_output_is_a_still_picture():
    """As on a page that only shows notebooks: the window in times of the recording, with a line of text."""
    pytest.importorskip("anywidget", reason="anywidget is not installed")
    from PIL import Image

    recording = moving_bar()
    moment = {"window_us": 20_000, "time_us": START_US + 500_000}
    made = dvs.viewer.widget(recording, palette="redblue", polarity="on", **moment)
    shown, _ = made._repr_mimebundle_()
    assert shown["text/plain"] == "Viewer of 20,000 events; run this cell to move it"
    assert "application/vnd.jupyter.widget-view+json" in shown
    picture = np.asarray(Image.open(io.BytesIO(b64decode(shown["image/png"]))).convert("RGB"))
    scale = 10  # 640 / 64; an edge of one pixel around
    events = recording.between(START_US + 480_000, START_US + 500_000).events
    events = events[events["p"] == 1]
    np.testing.assert_array_equal(
        picture[1 + scale // 2 :: scale, 1 + scale // 2 :: scale][:48, :64], accumulate(events, 64, 48, "redblue")
    )


def test_the_still_picture_shows_the_busiest_moment():
    """1000 events from 400 to 420 ms, one elsewhere: the middle of the window is in them, also for what is thinned."""
    t = np.append(np.linspace(400_000, 420_000, 1000).astype(int), 900_000)
    events = make_events(np.zeros(1001), np.zeros(1001), t + START_US, np.ones(1001))
    recording = Recording(events=events, width=2, height=2, start_us=START_US, stop_us=START_US + 1_000_000)
    for most in (5000, 100):
        opens_us = busiest_us(pack(recording, max_events=most), 33_333) - START_US
        assert 400_000 < opens_us + 33_333 / 2 < 420_000
    assert busiest_us(pack(Recording(events=empty_events(), width=2, height=2)), 1) == 0


# In a browser


@pytest.fixture(scope="module")
def chromium():
    """A Chromium without a window, WebGL made by a program."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium on this machine")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--enable-unsafe-swiftshader"])
        yield browser
        browser.close()


@pytest.fixture
def show(chromium, tmp_path):
    """Opens a page; when the test ends, nothing may have failed, and nothing else been fetched."""
    pages, wrong, fetched = [], [], []

    def open_page(text, viewers=1, **options):
        path = tmp_path / f"page{len(pages)}.html"
        path.write_text(text, encoding="utf-8")
        options = {"viewport": {"width": 760, "height": 560}, **options}
        page = chromium.new_page(**options)
        pages.append(page)
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: fetched.append(request.url))
        page.goto(path.as_uri())
        until(page, f"[...document.querySelectorAll('.dvs-viewer')].filter(e => e.viewer).length >= {viewers}")
        settle(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert wrong == []
    assert all(re.fullmatch(r"file:.*/page\d\.html|blob:.*", address) for address in fetched)


def until(page, condition):
    """Wait until the expression is true; fails after ten seconds."""
    page.evaluate(
        f"""new Promise((done, fail) => {{
            const late = performance.now() + 10_000;
            const look = () => {{
                if ({condition}) done();
                else if (performance.now() > late) fail(new Error("not within ten seconds"));
                else requestAnimationFrame(look);
            }};
            look();
        }})"""
    )


def settle(page):
    """Let what was changed be drawn, and what moved come to rest."""
    until(page, "[...document.querySelectorAll('.dvs-viewer')].every(e => e.viewer?.resting)")


def state(page):
    return page.evaluate("document.querySelector('.dvs-viewer').viewer.state")


def change(page, **changes):
    page.evaluate("changes => document.querySelector('.dvs-viewer').viewer.set(changes)", changes)
    settle(page)


def pixels(page, part):
    """A part of the page as (rows, columns, 3)."""
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(page.locator(part).screenshot())).convert("RGB"))


def frame(page, width=64, height=48):
    """The picture of the sensor, (height, width, 3): the middle of each of its pixels."""
    left, top, wide, high = page.evaluate("document.querySelector('.dvs-viewer').viewer.picture")
    rows = top + ((np.arange(height) + 0.5) * high / height).astype(int)
    columns = left + ((np.arange(width) + 0.5) * wide / width).astype(int)
    return pixels(page, ".dvs-stage")[np.ix_(rows, columns)]


def count(picture, colour):
    return int((picture == np.array(colour)).all(axis=-1).sum())


def expected(recording, shown, palette):
    """What `dvs.rendering` makes of the window."""
    stop_us = START_US + round(shown["time"])
    events = recording.between(stop_us - round(shown["window"]), stop_us).events
    return accumulate(events, recording.width, recording.height, PALETTES[palette])


@pytest.mark.slow
@pytest.mark.parametrize("drawing", ["card", "processor"])
def test_the_picture_is_that_of_rendering_to_the_pixel(show, drawing):
    page = show(dvs.viewer.page(moving_bar(), palette="dark"))
    for time in (33_333, 500_000, 1_000_001):
        change(page, drawing=drawing, time=time)
        np.testing.assert_array_equal(frame(page), expected(moving_bar(), state(page), "dark"))


def test_both_ways_of_drawing_show_the_same_cloud(show):
    """Rounding may move a point by a pixel, so counts of colours are compared, and where the cloud is."""
    page = show(dvs.viewer.page(moving_bar(), palette="redblue"))
    seen = []
    for drawing in ("card", "processor"):
        change(page, drawing=drawing, time=500_000)
        cloud = pixels(page, ".dvs-cloud").astype(int)
        reddish, bluish = (cloud[..., 0] - cloud[..., 2] > 60), (cloud[..., 2] - cloud[..., 0] > 60)
        seen.append(
            [mask.sum() for mask in (reddish, bluish)] + [np.argwhere(mask).mean() for mask in (reddish, bluish)]
        )
    assert min(seen[0][:2]) > 1000
    np.testing.assert_allclose(seen[0], seen[1], rtol=0.1)


@pytest.mark.parametrize("palette", sorted(PALETTES))
def test_every_palette_shows_its_three_colours(show, palette):
    page = show(dvs.viewer.page(moving_bar()))
    page.get_by_label("Palette").select_option(palette)
    settle(page)
    colours = PALETTES[palette]
    for part in (".dvs-frame", ".dvs-cloud", ".dvs-timeline"):
        picture = pixels(page, part)
        for colour in (colours.background, colours.on, colours.off):
            assert count(picture, colour) > 100, (part, colour)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_light_and_dark_follow_the_reader(show, theme):
    page = show(dvs.viewer.page(moving_bar()), color_scheme=theme)
    np.testing.assert_array_equal(frame(page), expected(moving_bar(), state(page), theme))
    page.emulate_media(color_scheme={"light": "dark", "dark": "light"}[theme])
    settle(page)
    other = {"light": "dark", "dark": "light"}[theme]
    np.testing.assert_array_equal(frame(page), expected(moving_bar(), state(page), other))


def test_the_slider_of_time_moves_the_window(show):
    """A click at three quarters of the curve closes the window at three quarters of the second."""
    page = show(dvs.viewer.page(moving_bar(), palette="dark"))
    before = frame(page)
    slider = page.get_by_role("slider", name="Time")
    box = slider.bounding_box()
    slider.click(position={"x": 0.75 * box["width"], "y": box["height"] / 2})
    settle(page)
    assert state(page)["time"] == pytest.approx(750_000, abs=5000)
    assert not np.array_equal(frame(page), before)
    np.testing.assert_array_equal(frame(page), expected(moving_bar(), state(page), "dark"))


@pytest.mark.slow
def test_a_longer_window_shows_more_events(show):
    page = show(dvs.viewer.page(moving_bar(), palette="redblue"))
    slider = page.get_by_role("slider", name="Window")
    white = [count(frame(page), (255, 255, 255))]
    slider.focus()
    for _ in range(40):
        page.keyboard.press("ArrowRight")
    settle(page)
    white.append(count(frame(page), (255, 255, 255)))
    assert white[1] < white[0]
    np.testing.assert_array_equal(frame(page), expected(moving_bar(), state(page), "redblue"))


@pytest.mark.slow
def test_play_goes_on_until_pause(show):
    page = show(dvs.viewer.page(moving_bar()))
    change(page, time=100_000, speed=0.05)
    before = frame(page)
    page.get_by_role("button", name="Play").click()
    until(page, "document.querySelector('.dvs-viewer').viewer.state.time > 115000")
    page.get_by_role("button", name="Pause").click()
    settle(page)
    stopped = state(page)["time"]
    assert not np.array_equal(frame(page), before)
    settle(page)
    assert state(page)["time"] == stopped


def test_the_film_begins_again_at_its_end(show):
    page = show(dvs.viewer.page(moving_bar()))
    change(page, time=990_000, speed=0.1)
    page.get_by_role("button", name="Play").click()
    until(page, "document.querySelector('.dvs-viewer').viewer.state.time < 500000")


def test_the_keys_play_and_step_without_a_click(show):
    page = show(dvs.viewer.page(moving_bar()))
    change(page, time=500_000, window=10_000)
    page.keyboard.press("ArrowRight")
    assert state(page)["time"] == 510_000
    page.keyboard.press("Shift+ArrowLeft")
    assert state(page)["time"] == 410_000
    page.keyboard.press("End")
    assert state(page)["time"] == 1_000_001
    page.keyboard.press("Home")
    assert state(page)["time"] == 10_000
    page.keyboard.press("Space")
    assert state(page)["playing"]
    page.keyboard.press("Space")
    assert not state(page)["playing"]


@pytest.mark.slow
def test_the_mouse_turns_the_cloud_and_a_double_click_puts_it_back(show):
    page = show(dvs.viewer.page(moving_bar()))
    first, picture = pixels(page, ".dvs-cloud"), frame(page)
    box = page.locator(".dvs-cloud").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 90, y + 30, steps=4)
    page.mouse.up()
    settle(page)
    turned = pixels(page, ".dvs-cloud")
    assert (turned != first).any(axis=-1).mean() > 0.05
    page.mouse.wheel(0, -300)
    until(page, "document.querySelector('.dvs-viewer').viewer.state.zoom > 1.3")
    settle(page)
    assert (pixels(page, ".dvs-cloud") != turned).any(axis=-1).mean() > 0.05
    page.mouse.dblclick(x, y)
    settle(page)
    np.testing.assert_array_equal(pixels(page, ".dvs-cloud"), first)
    np.testing.assert_array_equal(frame(page), picture)


def test_the_wheel_passes_the_cloud_by_until_it_is_clicked_or_ctrl_is_held(show):
    """A long page is scrolled on where the cloud happens to come under the mouse."""
    parts = dvs.viewer.fragment(moving_bar())
    page = show(f"<!DOCTYPE html><html><body>{parts}<div style='height: 3000px'></div></body></html>")
    page.locator(".dvs-cloud").hover()
    page.mouse.wheel(0, 50)
    until(page, "scrollY === 50")
    assert state(page)["zoom"] == 1
    page.evaluate("scrollTo(0, 0)")
    page.locator(".dvs-cloud").hover()
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    until(page, "document.querySelector('.dvs-viewer').viewer.state.zoom > 1.1")
    page.keyboard.up("Control")
    page.locator(".dvs-cloud").click()
    page.mouse.wheel(0, -100)
    until(page, "document.querySelector('.dvs-viewer').viewer.state.zoom > 1.3")
    assert page.evaluate("scrollY") == 0


# A machine on which every frame takes 60 ms: the cloud is thinned as far as it may be.
SLOW = """
const draw = window.requestAnimationFrame.bind(window);
window.requestAnimationFrame = (act) => draw(() => setTimeout(() => act(performance.now()), 60));
"""


@pytest.mark.slow
@pytest.mark.parametrize(("events", "every"), [(20_000, 1), (250_000, 2)])
def test_a_cloud_that_is_thinned_while_it_moves_says_so(show, events, every):
    """Never below 100,000 events: 250,000 / 2 are more, 250,000 / 4 fewer."""
    text = dvs.viewer.page(moving_bar(events)).replace("<head>", f"<head><script>{SLOW}</script>")
    page = show(text)
    caption = "document.querySelector('.dvs-cloud').textContent"
    page.get_by_role("button", name="Play").click()
    if every > 1:
        until(page, f"{caption} === 'Whole recording, 1 of {every} events while it moves'")
    until(page, "document.querySelector('.dvs-viewer').viewer.detail < 1 / 4")
    assert page.evaluate(caption) == (
        "Whole recording" if every == 1 else f"Whole recording, 1 of {every} events while it moves"
    )
    page.get_by_role("button", name="Pause").click()
    settle(page)
    assert page.evaluate(caption) == "Whole recording"


def test_a_fragment_begins_where_it_is_told(show):
    parts = dvs.viewer.fragment(moving_bar(), window_us=20_000, time_us=START_US + 600_000)
    page = show(f"<!DOCTYPE html><html><body>{parts}</body></html>")
    assert (state(page)["time"], state(page)["window"]) == (600_000, 20_000)


def test_the_curve_says_whose_rate_its_height_is(show):
    """The larger one of the two polarities in a bin of 1/600 of the recording."""
    recording = moving_bar()
    page = show(dvs.viewer.page(recording))
    most = unpacked(pack(recording))[-1].max()
    rate = float(f"{most * 600 / 1.000001 / 1000:.3g}")
    assert page.locator(".dvs-timeline").inner_text() == f"ON above, OFF below; up to {rate:g} kev/s each"


def test_the_arrow_keys_turn_the_cloud_that_has_the_focus(show):
    page = show(dvs.viewer.page(moving_bar()))
    page.locator(".dvs-cloud").focus()
    before = state(page)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("+")
    after = state(page)
    assert (after["yaw"] != before["yaw"], after["zoom"] > 1, after["time"] == before["time"]) == (True, True, True)


@pytest.mark.parametrize(("chosen", "p"), [("ON", 1), ("OFF", 0)])
def test_the_polarity_switch_leaves_one_colour(show, chosen, p):
    page = show(dvs.viewer.page(moving_bar(), palette="redblue"))
    page.get_by_role("radio", name=chosen, exact=True).check()
    settle(page)
    recording, shown = moving_bar(), state(page)
    left = Recording(events=recording.events[recording.events["p"] == p], width=64, height=48, start_us=START_US)
    np.testing.assert_array_equal(frame(page), expected(left, shown, "redblue"))
    cloud = pixels(page, ".dvs-cloud").astype(int)
    redder = cloud[..., 0] - cloud[..., 2]
    stop_us = START_US + round(shown["time"])
    seen = len(left.between(stop_us - round(shown["window"]), stop_us))
    assert page.locator(".dvs-frame").inner_text().startswith(f"{chosen} events of 33.3 ms: {seen},")
    change(page, drawing="card")
    np.testing.assert_array_equal(frame(page), expected(left, shown, "redblue"))
    assert ((redder if p else -redder) > 60).sum() > 1000
    assert ((-redder if p else redder) > 60).sum() == 0


def test_every_control_has_a_name(show):
    page = show(dvs.viewer.page(moving_bar()))
    page.get_by_role("region", name="Viewer of events").wait_for()
    page.get_by_role("button", name="Play").wait_for()
    for name in ("Time", "Window", "Cloud"):
        page.get_by_role("slider", name=name, exact=True).wait_for()
    for name in ("Speed", "Palette"):
        page.get_by_role("combobox", name=name).wait_for()
    page.get_by_role("group", name="Polarity").wait_for()
    page.get_by_role("application", name=re.compile("Cloud of the events")).wait_for()
    page.get_by_role("img", name=re.compile("Picture: Events of 33.3 ms: ")).wait_for()
    assert "20,000 events" not in page.get_by_role("slider", name="Time").get_attribute("aria-valuetext")


def test_thinned_events_are_announced(show):
    page = show(dvs.viewer.page(moving_bar(), max_events=5000))
    said = page.get_by_role("note").inner_text()
    assert said.startswith("Drawn are 5,000 of the 20,000 events, chosen evenly")
    assert "about" in page.locator(".dvs-frame").inner_text()


def test_nothing_is_said_where_all_events_are_drawn(show):
    assert not show(dvs.viewer.page(moving_bar())).locator(".dvs-said").is_visible()


@pytest.mark.parametrize("stop_us", [0, 1_000_000])
def test_a_recording_without_events_is_a_quiet_page(show, stop_us):
    page = show(dvs.viewer.page(Recording(events=empty_events(), width=64, height=48, stop_us=stop_us), palette="dark"))
    assert page.get_by_role("note").inner_text() == "No pixel fired: there is nothing to show."
    assert (frame(page) == PALETTES["dark"].background).all()
    page.keyboard.press("Space")
    until(page, "document.querySelector('.dvs-viewer').viewer.state.playing")
    page.keyboard.press("Space")
    settle(page)


def test_a_single_event_is_seen(show):
    recording = Recording(events=make_events([5], [7], [0], [1]), width=64, height=48)
    picture = frame(show(dvs.viewer.page(recording, palette="redblue")))
    assert picture[7, 5].tolist() == [255, 0, 0]
    assert count(picture, (255, 255, 255)) == 64 * 48 - 1


def test_a_sensor_with_more_pixels_than_the_screen_loses_no_lone_event(show):
    """1280 x 720 in about 400 columns: a pixel of the screen is full of colour where any of its events is."""
    recording = Recording(
        events=make_events([5, 640, 1279], [7, 360, 719], [0, 1, 2], [1, 0, 1]),
        width=1280,
        height=720,
        stop_us=1_000_000,
    )
    page = show(dvs.viewer.page(recording, palette="redblue"))
    for drawing in ("card", "processor"):
        change(page, drawing=drawing)
        picture = pixels(page, ".dvs-frame")
        assert (count(picture, (255, 0, 0)), count(picture, (0, 0, 255))) == (2, 1)


def test_an_hour_or_three_is_as_good_as_a_second(show):
    """At the end of 3 h a window of 1 s still holds exactly the events of that second."""
    t = np.array([0, 5_400_000_000, 10_799_000_000, 10_799_400_000, 10_799_800_000])
    recording = Recording(
        events=make_events([1, 2, 3, 4, 5], [9] * 5, t, [1] * 5), width=64, height=48, stop_us=10_800_000_000
    )
    page = show(dvs.viewer.page(recording, palette="redblue"))
    change(page, time=10_800_000_000, window=700_000)
    assert np.argwhere((frame(page) == (255, 0, 0)).all(axis=-1)).tolist() == [[9, 4], [9, 5]]


@pytest.mark.slow
def test_uncompressed_pages_show_the_same(show):
    first, second = (show(dvs.viewer.page(moving_bar(), compress=compress)) for compress in (True, False))
    np.testing.assert_array_equal(frame(first), frame(second))


def test_two_fragments_share_a_page(show):
    parts = dvs.viewer.fragment(moving_bar()) + dvs.viewer.fragment(moving_bar(seed=5))
    page = show(f"<!DOCTYPE html><html><body>{parts}</body></html>", viewers=2)
    assert page.locator(".dvs-viewer canvas.dvs-gl").count() == 2
    page.get_by_role("radio", name="ON", exact=True).nth(1).check()
    shown = page.evaluate("[...document.querySelectorAll('.dvs-viewer')].map(e => e.viewer.state.polarity)")
    assert shown == ["both", "on"]


def test_without_webgl_the_page_says_so(show, chromium, tmp_path):
    text = dvs.viewer.page(moving_bar()).replace('getContext("webgl2"', 'getContext("nothing"')
    path = tmp_path / "old.html"
    path.write_text(text, encoding="utf-8")
    page = chromium.new_page()
    page.goto(path.as_uri())
    assert page.get_by_role("alert").inner_text() == "This browser draws no WebGL 2, which the viewer needs."
    page.close()


@pytest.mark.slow
def test_the_page_fits_windows_of_all_sizes(show):
    for width, height in ((360, 640), (700, 480), (700, 600), (1600, 1000)):
        page = show(dvs.viewer.page(moving_bar(), max_events=5000), viewport={"width": width, "height": height})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("document.documentElement.scrollHeight") <= height or height < 600 or width < 680
        for part in (".dvs-frame", ".dvs-cloud", ".dvs-timeline"):
            box = page.locator(part).bounding_box()
            assert box["width"] >= 200, (width, part)
            assert box["height"] >= 100, (width, part)


FAKE_MODEL = """
async ([script, style, header, text, traits]) => {
  const sheet = document.createElement("style"); sheet.textContent = style; document.head.append(sheet);
  const module = await import(URL.createObjectURL(new Blob([script], { type: "text/javascript" })));
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const values = { _header: header, _data: new DataView(bytes.buffer), ...traits };
  const listeners = {};
  window.saved = 0;
  window.model = {
    get: (name) => values[name],
    set: (name, value) => { values[name] = value; for (const act of listeners[name] ?? []) act(); },
    save_changes: () => { window.saved += 1; },
    on: (kind, act) => { (listeners[kind.replace("change:", "")] ??= new Set()).add(act); },
    off: (kind, act) => listeners[kind.replace("change:", "")].delete(act),
  };
  window.close_viewer = await module.default.render({ model: window.model, el: document.body });
}"""


def test_the_widget_and_its_traits_follow_each_other(show):
    """The module in a page with a model as anywidget's: get, set, save_changes, on and off."""
    page = show("<!DOCTYPE html><html><body></body></html>", viewers=0)
    packed = pack(moving_bar())
    traits = {"time_us": None, "window_us": 20_000, "polarity": "both", "palette": "dark", "playing": False}
    page.evaluate(
        FAKE_MODEL,
        [source("viewer.js"), source("viewer.css"), packed.header, b64encode(packed.data).decode(), traits],
    )
    settle(page)
    assert page.evaluate("model.get('time_us')") == START_US + state(page)["time"]
    page.evaluate(f"model.set('time_us', {START_US + 600_000})")
    settle(page)
    assert (state(page)["time"], state(page)["window"]) == (600_000, 20_000)
    np.testing.assert_array_equal(frame(page), expected(moving_bar(), state(page), "dark"))
    page.get_by_role("radio", name="OFF", exact=True).check()
    settle(page)
    assert page.evaluate("[model.get('polarity'), saved > 0]") == ["off", True]
    page.evaluate("close_viewer()")
    assert page.locator("canvas").count() == 0
    page.evaluate("model.set('polarity', 'on')")
