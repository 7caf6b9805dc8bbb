"""Pictures of events: what is drawn is what was recorded, in the colours that were asked for, and no window opens."""

import math
import subprocess
import sys
from functools import partial

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from dvs import pictures, scenes
from dvs.charts import OFF, ON
from dvs.emulator import Settings, emulate
from dvs.errors import InputError, ParameterError
from dvs.events import Recording, empty_events, make_events
from dvs.files import open as open_recording
from dvs.files import write
from dvs.luminance import Encoding
from dvs.palettes import PALETTES, Palette, find_palette
from dvs.pictures.cloud import thinned
from dvs.pictures.compare import _text
from dvs.pictures.frames import full_colour
from dvs.pixel_trace import watch_pixel
from dvs.preview import Preview
from dvs.sensors import Sensor, load_sensor
from dvs.statistics import count_map, signed_map

WIDTH, HEIGHT = 12, 9


def noise(count=500, *, seed=0, start_us=0, stop_us=100_000):
    """Events at random, anywhere, at any time of the span."""
    rng = np.random.default_rng(seed)
    t_us = np.sort(rng.integers(start_us, stop_us, count))
    events = make_events(rng.integers(0, WIDTH, count), rng.integers(0, HEIGHT, count), t_us, rng.integers(0, 2, count))
    return Recording(events=events, width=WIDTH, height=HEIGHT, start_us=start_us, stop_us=stop_us)


NOISE = noise()
SILENT = Recording(events=empty_events(), width=WIDTH, height=HEIGHT)
ONE = Recording(events=make_events([3], [4], [50], [1]), width=WIDTH, height=HEIGHT)

OF_A_RECORDING = {
    "event_frame": pictures.event_frame,
    "signed_counts": pictures.signed_counts,
    "time_surface": pictures.time_surface,
    "space_time": pictures.space_time,
    "time_slice": pictures.time_slice,
    "event_rate": pictures.event_rate,
    "pixel_raster": pictures.pixel_raster,
    "comparison": lambda recording, **options: pictures.comparison(recording, recording, **options),
}
each_picture = pytest.mark.parametrize("draw", OF_A_RECORDING.values(), ids=OF_A_RECORDING)


def drawn(ax):
    """The numbers of the image."""
    (image,) = ax.images
    return np.asarray(image.get_array())


def ticks(collection):
    """(x, tip) of vertical lines that stand on whole numbers."""
    return [(segment[0][0], segment[1][1]) for segment in collection.get_segments()]


def rgb(colour):
    return tuple(round(255 * part) for part in colour[:3])


# All of them


@each_picture
@pytest.mark.parametrize("palette", PALETTES)
def test_a_picture_goes_into_the_axes_it_is_given(draw, palette):
    three_dimensional = draw is pictures.space_time
    ax = Figure().add_subplot(projection="3d" if three_dimensional else None)
    assert draw(NOISE, ax=ax, palette=palette) is ax


@each_picture
@pytest.mark.parametrize("recording", [SILENT, ONE], ids=["silent", "one event"])
def test_silence_and_a_single_event_can_be_drawn(draw, recording, tmp_path):
    draw(recording).figure.savefig(tmp_path / "picture.png")


@each_picture
def test_bare_events_need_the_size_of_their_sensor(draw):
    draw(NOISE.events, size=(WIDTH, HEIGHT))
    with pytest.raises(ParameterError, match=r"give size=\(width, height\)"):
        draw(NOISE.events)


@each_picture
def test_a_recording_in_its_file_is_drawn(draw, tmp_path):
    write(tmp_path / "noise.h5", NOISE)
    draw(open_recording(tmp_path / "noise.h5"))


def test_no_window_is_opened_and_matplotlib_waits_until_it_is_needed():
    program = """
import sys
from dvs import pictures
from dvs.events import Recording, make_events
pictures.event_frame, pictures.space_time, pictures.one_pixel, pictures.comparison
assert "matplotlib" not in sys.modules
recording = Recording(events=make_events([0], [0], [0], [1]), width=2, height=2)
for draw in (pictures.event_frame, pictures.signed_counts, pictures.time_surface, pictures.space_time,
             pictures.time_slice, pictures.event_rate, pictures.pixel_raster):
    draw(recording)
assert "matplotlib" in sys.modules
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_time_is_counted_from_the_beginning_where_it_is_counted_from_1970():
    """A recording of the year 2020 is drawn over its 0.1 s, not over 1.6e9 s."""
    start_us = 1_577_836_800_000_000
    ax = pictures.event_rate(noise(start_us=start_us, stop_us=start_us + 100_000))
    assert ax.get_xlim() == pytest.approx((0, 0.1))
    assert ax.get_xlabel().startswith("time since the beginning (s)")
    assert pictures.event_rate(NOISE).get_xlabel().startswith("time (s)")


@pytest.mark.parametrize("name", PALETTES)
def test_legends_stand_on_the_ground_of_the_palette_where_every_colour_is_seen(name):
    """White ON events would be invisible on the white of the page."""
    background = PALETTES[name].background
    trace = watch_pixel(scenes.flicker(width=2, height=2, duration_s=0.05), CALM, x=0, y=0)
    for ax in (
        *(draw(NOISE, palette=name) for draw in (pictures.event_frame, pictures.time_slice, pictures.space_time)),
        pictures.event_rate(NOISE, palette=name),
        pictures.one_pixel(trace, palette=name),
        pictures.comparison(NOISE, NOISE, palette=name).child_axes[0],
    ):
        legend = ax.get_legend()
        assert rgb(legend.get_frame().get_facecolor()) == background
        contrasts = [np.mean(to_rgb(text.get_color())) - np.mean(background) / 255 for text in legend.get_texts()]
        assert np.abs(contrasts).min() > 0.3
    assert rgb(ax.get_facecolor()) == background


@pytest.mark.parametrize("draw", [pictures.event_frame, pictures.time_slice, pictures.space_time])
def test_a_picture_of_two_colours_says_which_is_on(draw):
    legend = draw(NOISE).get_legend()
    shown = {
        text.get_text(): patch.get_facecolor() for text, patch in zip(legend.texts, legend.get_patches(), strict=True)
    }
    assert {name: rgb(colour) for name, colour in shown.items()} == {
        "ON": PALETTES["light"].on,
        "OFF": PALETTES["light"].off,
    }


# In the plane of the sensor


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(0, 300))
def test_the_image_holds_the_balance_of_every_pixel(seed, count):
    recording = noise(count, seed=seed)
    image = drawn(pictures.signed_counts(recording))
    np.testing.assert_array_equal(image, signed_map(recording))
    assert image.sum() == 2 * recording.events["p"].sum() - count


def test_a_frame_shows_the_last_event_of_each_pixel_in_its_window():
    """At 5 us pixel (0, 0) is ON; at 10 us OFF; what happens at 30 us is not in [5, 30)."""
    events = make_events([0, 0, 2, 1, 1], [0, 0, 1, 1, 1], [5, 10, 20, 30, 31], [1, 0, 1, 1, 1])
    ax = pictures.event_frame(events, at_us=5, window_us=25, size=(3, 2))
    assert drawn(ax).tolist() == [[1, 0, 0], [0, 0, 2]]
    assert ax.get_title(loc="left") == "3 events in 25 µs from 0.000 s"


def test_a_frame_shows_the_busiest_window_unless_it_is_told():
    """One event at 0, three around 70 ms: a window of 10 ms holds three at most."""
    events = make_events([0, 1, 2, 3], [0, 0, 0, 0], [0, 70_000, 72_000, 74_000], [1, 1, 1, 1])
    recording = Recording(events=events, width=4, height=1)
    assert drawn(pictures.event_frame(recording, window_us=10_000)).tolist() == [[0, 2, 2, 2]]


@pytest.mark.parametrize(
    "draw", [pictures.event_frame, partial(pictures.signed_counts, window_us=33_000), pictures.time_surface]
)
def test_a_moment_outside_the_recording_is_refused_with_its_span(draw):
    """A recording that counts from 1970 has nothing at 0 us."""
    start_us = 1_577_836_800_000_000
    recording = noise(start_us=start_us, stop_us=start_us + 100_000)
    with pytest.raises(ParameterError, match=f"at_us = 0 .* from {start_us} to {start_us + 100_000} us"):
        draw(recording, at_us=0)
    draw(recording, at_us=start_us)
    draw(recording, at_us=start_us + 100_000)


@pytest.mark.parametrize("name", PALETTES)
def test_a_frame_has_exactly_the_colours_of_its_palette(name):
    events = make_events([0, 1], [0, 0], [10, 20], [1, 0])
    ax = pictures.event_frame(events, palette=name, size=(3, 1))
    (image,) = ax.images
    shown = [rgb(colour) for colour in image.to_rgba(image.get_array())[0]]
    palette = PALETTES[name]
    assert shown == [palette.on, palette.off, palette.background]


def test_balance_reaches_full_colour_at_the_count_that_is_asked_for():
    """Two ON events of four: half way from white to the colour of ON."""
    events = make_events([0, 0, 1, 1, 1, 1], [0] * 6, range(6), [1, 1, 0, 0, 0, 0])
    (image,) = pictures.signed_counts(events, full=4, size=(3, 1)).images
    half, off, background = (rgb(colour) for colour in image.to_rgba(image.get_array())[0])
    palette = PALETTES["light"]
    assert half == pytest.approx([(255 + part) / 2 for part in palette.on], abs=1)
    assert (off, background) == (palette.off, palette.background)


def test_two_lamps_that_flicker_leave_the_rest_visible():
    """4 % of the active pixels with 60 events, the others with 1 or 2: full colour is what the others have."""
    counts = np.zeros((10, 20), int)
    counts[:5] = 1
    counts[5, :] = -2
    counts[0, :4] = 60
    assert full_colour(counts) == 2


def test_a_time_surface_is_the_exponential_of_the_age():
    """+-exp(-(t - t_last) / tau), pixel by pixel."""
    at_us, tau_us = 60_000, 20_000
    expected = np.zeros((HEIGHT, WIDTH))
    for event in NOISE.events[NOISE.events["t"] <= at_us]:
        expected[event["y"], event["x"]] = (1 if event["p"] else -1) * math.exp(-(at_us - event["t"]) / tau_us)
    ax = pictures.time_surface(NOISE, at_us=at_us, tau_us=tau_us)
    np.testing.assert_allclose(drawn(ax), expected, rtol=1e-5)


# In space and time


def test_a_cloud_has_a_point_for_each_event_and_says_when_it_has_not():
    everything = pictures.space_time(NOISE)
    t_s, x, y = everything.collections[0]._offsets3d
    np.testing.assert_allclose(t_s, NOISE.events["t"] * 1e-6)
    np.testing.assert_array_equal(x, NOISE.events["x"])
    np.testing.assert_array_equal(y, NOISE.events["y"])
    assert everything.get_title() == "500 events"
    some = pictures.space_time(NOISE, max_events=100)
    assert len(some.collections[0]._offsets3d[0]) == 100
    assert some.get_title() == "100 of 500 events"


def test_the_sides_of_a_cloud_have_numbers():
    """None at the far corner, where two sides meet."""
    ax = pictures.space_time(empty_events(), size=(346, 260))
    assert ax.get_yticks().tolist() == [0, 100, 200, 300]
    assert ax.get_zticks().tolist() == [0, 100, 200]
    assert (ax.get_ylabel(), ax.get_zlabel()) == ("x (pixels)", "y (pixels)")


@given(count=st.integers(0, 3000), most=st.integers(1, 200))
def test_thinning_is_even(count, most):
    """Neighbours that are kept were floor or ceil of count / most apart."""
    events = empty_events(count)
    events["t"] = np.arange(count)
    kept = thinned(events, most)
    assert kept.size == min(count, most)
    if count > most:
        assert set(np.diff(kept["t"])) <= {count // most, -(-count // most)}


def test_a_cloud_needs_three_dimensions():
    with pytest.raises(ParameterError, match="projection='3d'"):
        pictures.space_time(NOISE, ax=Figure().add_subplot())


@pytest.mark.parametrize(("along", "across"), [("x", "y"), ("y", "x")])
def test_a_slice_has_the_events_of_its_lines(along, across):
    chosen = NOISE.events[(NOISE.events[across] >= 2) & (NOISE.events[across] < 5)]
    ax = pictures.time_slice(NOISE, along=along, at=2, thickness=3)
    np.testing.assert_allclose(ax.collections[0].get_offsets(), np.stack([chosen["t"] * 1e-6, chosen[along]], axis=1))


def test_a_slice_goes_where_there_are_most_events():
    events = make_events([0, 1, 2, 3], [1, 6, 7, 7], [0, 1, 2, 3], [1, 1, 1, 1])
    recording = Recording(events=events, width=WIDTH, height=HEIGHT)
    assert pictures.time_slice(recording).get_title(loc="left") == "row 7"
    assert pictures.time_slice(recording, thickness=2).get_title(loc="left") == "rows 6 to 7"


# Over time


@pytest.mark.parametrize("bin_us", [1_000, 7_000, 100_000])
def test_the_area_under_the_rate_is_the_number_of_events(bin_us):
    """Rate times length of its bin, summed: all ON events above zero, all OFF events below; 7 ms leave a short bin."""
    on, off = pictures.event_rate(NOISE, bin_us=bin_us).patches
    for patch, sign, polarity in ((on, 1, 1), (off, -1, 0)):
        values, edges, _ = patch.get_data()
        assert sign * (values * np.diff(edges)).sum() == pytest.approx((NOISE.events["p"] == polarity).sum())


def test_a_raster_has_a_tick_for_each_event_of_its_pixels():
    pixels = [(3, 4), (0, 0), (11, 8)]
    ax = pictures.pixel_raster(NOISE, pixels=pixels)
    _, on, off = ax.collections
    for collection, polarity, side in ((on, 1, -1), (off, 0, 1)):
        expected = sorted(
            (event["t"] * 1e-6, row + side * 0.42)
            for row, (x, y) in enumerate(pixels)
            for event in NOISE.events
            if (event["x"], event["y"], event["p"]) == (x, y, polarity)
        )
        np.testing.assert_allclose(sorted(ticks(collection)), expected)


def test_a_raster_has_the_most_active_pixels_first():
    ax = pictures.pixel_raster(NOISE, most=5)
    names = [label.get_text() for label in ax.get_yticklabels()]
    counts = [count_map(NOISE)[int(y), int(x)] for x, y in (name.strip("()").split(", ") for name in names)]
    assert counts == sorted(count_map(NOISE).ravel(), reverse=True)[:5]


# One pixel

CALM = Sensor(theta_on=0.2, theta_off=0.3)
REAL = load_sensor("davis346").with_(width=None, height=None, shot_noise_hz=0.0, hot_pixel_fraction=0.0)


@pytest.mark.parametrize("sensor", [CALM, REAL, CALM.with_(refractory_us=2_500.0)], ids=["ideal", "davis346", "blind"])
def test_the_pixel_that_is_watched_makes_the_events_of_the_emulator(sensor):
    """The pixel is solved along straight lines, so finer frames on these lines move no event."""
    scene = scenes.grating(width=40, height=30, fps=200, duration_s=0.3)
    bare = sensor.with_(readout="none", latency_us=0.0, jitter_us=0.0)
    of_all = emulate(scene, bare, seed=7).events
    for x, y in ((0, 0), (39, 29), (17, 12)):
        expected = of_all[(of_all["x"] == x) & (of_all["y"] == y)]
        trace = watch_pixel(scene, Settings(sensor=sensor, seed=7), x=x, y=y, samples=700)
        assert expected.size > 3
        assert trace.events["p"].tolist() == expected["p"].tolist()
        np.testing.assert_allclose(trace.events["t"], expected["t"], atol=1)


def test_the_reference_steps_by_a_threshold_at_each_event():
    """Light that rises by 4 ln units a second meets thresholds of 0.2 every 50 ms; the reference follows."""
    scene = scenes.ramp(slope_ln_s=4, width=2, height=2, fps=100, duration_s=0.52)
    trace = watch_pixel(scene, Settings(sensor=CALM, dark_offset=1e-12), x=1, y=0, samples=1000)
    np.testing.assert_allclose(trace.events["t"], 50_000 * np.arange(1, 11), atol=1)
    passed = np.searchsorted(trace.events["t"], trace.times_us, side="right")
    away = np.abs(trace.times_us[:, None] - trace.events["t"]).min(axis=1) > 2
    np.testing.assert_allclose(trace.reference_ln[away], math.log(0.05) + 0.2 * passed[away], atol=1e-5)


@pytest.mark.parametrize("sensor", [CALM, REAL], ids=["ideal", "davis346"])
def test_the_photoreceptor_never_leaves_the_band_of_thresholds(sensor):
    scene = scenes.flicker(width=3, height=3, duration_s=0.2)
    trace = watch_pixel(scene, sensor, x=2, y=1)
    difference = trace.photoreceptor_ln - trace.reference_ln
    seeing = np.isfinite(difference)
    assert seeing.mean() > 0.9
    assert (difference[seeing] < trace.theta_on + 1e-6).all()
    assert (difference[seeing] > -trace.theta_off - 1e-6).all()


def test_a_blind_pixel_has_no_reference():
    """Blind for 2.5 ms after each of the 20 or so events: these times, and no other, are without a reference."""
    scene = scenes.flicker(width=2, height=2, duration_s=0.2)
    trace = watch_pixel(scene, CALM.with_(refractory_us=2_500.0), x=0, y=0, samples=4000)
    since = trace.times_us[:, None] - trace.events["t"]
    blind = ((since > 1) & (since < 2_499)).any(axis=1)
    seeing = ((since < -1) | (since > 2_501)).all(axis=1)
    assert np.isnan(trace.reference_ln[blind]).all()
    assert np.isfinite(trace.reference_ln[seeing]).all()


def test_the_picture_of_a_pixel_has_its_levels_and_its_events():
    trace = watch_pixel(scenes.flicker(width=2, height=2, duration_s=0.2), CALM, x=0, y=0)
    ax = pictures.one_pixel(trace)
    lines = {line.get_label(): line.get_ydata() for line in ax.lines}
    np.testing.assert_array_equal(lines["remembered reference, $r$"], trace.reference_ln)
    np.testing.assert_array_equal(lines["log intensity, $L = v$"], trace.photoreceptor_ln)
    drawn_ms = {each.get_label(): [t for t, _ in ticks(each)] for each in ax.collections if "event" in each.get_label()}
    for polarity, name in ((1, "ON event"), (0, "OFF event")):
        np.testing.assert_allclose(drawn_ms[name], trace.events["t"][trace.events["p"] == polarity] * 1e-3)


def test_the_picture_of_a_slow_pixel_tells_light_from_photoreceptor(tmp_path):
    scene = scenes.flicker(width=2, height=2, duration_s=0.1)
    ax = pictures.one_pixel(watch_pixel(scene, CALM.with_(cutoff_hz=20.0), x=0, y=0), ax=Figure().add_subplot())
    assert {"log intensity, $L$", "photoreceptor, $v$"} <= {line.get_label() for line in ax.lines}
    ax.figure.savefig(tmp_path / "pixel.png")


def test_a_pixel_that_sees_nothing_change_can_be_drawn(tmp_path):
    trace = watch_pixel(scenes.flicker(amplitude_ln=0.01, width=2, height=2, duration_s=0.1), CALM, x=1, y=1)
    assert trace.events.size == 0
    pictures.one_pixel(trace).figure.savefig(tmp_path / "pixel.png")


# Two recordings


def test_a_recording_agrees_with_itself():
    same = pictures.agreement(NOISE, NOISE)
    assert same.count_ratio == 1
    assert [same.temporal_r, same.count_r, same.signed_r] == pytest.approx([1, 1, 1])


def test_a_recording_of_opposite_polarity_agrees_in_all_but_sign():
    opposite = NOISE.events.copy()
    opposite["p"] = 1 - opposite["p"]
    other = Recording(events=opposite, width=WIDTH, height=HEIGHT, stop_us=NOISE.stop_us)
    found = pictures.agreement(NOISE, other)
    assert [found.temporal_r, found.count_r, found.signed_r] == pytest.approx([1, 1, -1])


def test_recordings_of_different_times_have_no_correlation_of_rates():
    later = noise(start_us=200_000, stop_us=300_000)
    assert pictures.agreement(NOISE, later).temporal_r is None
    said = pictures.comparison(NOISE, later).child_axes[0].get_title(loc="left")
    assert said.endswith("rates not defined: spans differ")


def test_a_comparison_knows_no_negative_zero():
    numbers = pictures.Agreement(count_ratio=1, temporal_r=-0.004, count_r=-0.001, signed_r=-0.6, bin_us=1, sigma_px=1)
    text = _text(numbers, 1200, 3)
    assert text == "1,200 and 3 events, ratio 1.00\ncorrelation: maps 0.00, signed maps -0.60, rates 0.00"


def test_a_comparison_shows_both_maps_and_their_difference():
    half = Recording(events=NOISE.events[::2], width=WIDTH, height=HEIGHT, stop_us=NOISE.stop_us)
    ax = pictures.comparison(NOISE, half, names=("all", "half"))
    rates, *maps = ax.child_axes
    for panel, expected in zip(maps, [signed_map(NOISE), signed_map(half)], strict=False):
        np.testing.assert_array_equal(drawn(panel), expected)
    np.testing.assert_array_equal(drawn(maps[2]), signed_map(NOISE) - signed_map(half))
    assert [panel.get_title(loc="left") for panel in maps] == ["all", "half", "all minus half"]
    assert "500 and 250 events, ratio 2.00" in rates.get_title(loc="left")


def test_sensors_of_different_size_cannot_be_compared():
    with pytest.raises(InputError, match="maps of one size"):
        pictures.comparison(NOISE, Recording(events=empty_events(), width=5, height=5))


# Palettes


@pytest.mark.parametrize(
    ("name", "background", "on", "off"),
    [
        ("metavision", (30, 37, 52), (255, 255, 255), (64, 126, 201)),
        ("cool-warm", (217, 224, 237), (255, 113, 117), (87, 123, 198)),
        ("dv", (255, 255, 255), (0, 93, 183), (43, 43, 43)),
        ("redblue", (255, 255, 255), (255, 0, 0), (0, 0, 255)),
        ("grey", (128, 128, 128), (255, 255, 255), (0, 0, 0)),
    ],
)
def test_palettes_of_others_have_their_published_colours(name, background, on, off):
    assert find_palette(name) == Palette(background=background, on=on, off=off)


def test_the_light_palette_is_that_of_the_charts():
    light = PALETTES["light"]
    assert ["#{:02x}{:02x}{:02x}".format(*colour) for colour in (light.on, light.off)] == [ON, OFF]


# sRGB, linear, to what is left of it without one kind of cone: Vienot, Brettel & Mollon 1999, "Digital video
# colourmaps for checking the legibility of displays by dichromats", for protanopes and deuteranopes.
_TO_LMS = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
_DICHROMATS = {
    "protan": np.array([[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]]),
    "deutan": np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]]),
}


def seen_by(kind, colour):
    """A colour (red, green, blue) in [0, 255] as a dichromat sees it."""
    linear = (np.asarray(colour) / 255) ** 2.2
    left = np.linalg.solve(_TO_LMS, _DICHROMATS[kind] @ _TO_LMS @ linear)
    return 255 * np.clip(left, 0, 1) ** (1 / 2.2)


@pytest.mark.parametrize("kind", _DICHROMATS)
@pytest.mark.parametrize("name", ["light", "dark"])
def test_on_off_and_background_stay_apart_without_one_kind_of_cone(kind, name):
    """Further apart, in sRGB codes, than a third of black and white (442 / 3); red and green of equal light are not."""
    palette = PALETTES[name]
    on, off, background = (seen_by(kind, colour) for colour in (palette.on, palette.off, palette.background))
    for one, other in ((on, off), (on, background), (off, background)):
        assert np.linalg.norm(one - other) > 147
    # The measure itself: 188 of green are as light as 255 of red to a deuteranope.
    assert np.linalg.norm(seen_by("deutan", (255, 0, 0)) - seen_by("deutan", (0, 188, 0))) < 147


def test_a_palette_of_ones_own_is_used():
    own = Palette(background=(1, 2, 3), on=(4, 5, 6), off=(7, 8, 9))
    assert pictures.event_rate(NOISE, palette=own).get_facecolor() == pytest.approx([1 / 255, 2 / 255, 3 / 255, 1])


# Films


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_a_gif_has_a_quarter_of_the_greys(tmp_path, suffix):
    """All 256 codes side by side become 64 greys in a .gif, which makes it small, and at least 65 in an .mp4."""
    frame = np.arange(256, dtype=np.uint8).reshape(16, 16)
    with Preview(tmp_path / f"film{suffix}", 16, 16, encoding=Encoding(), fps=10) as preview:
        preview.show(frame, 0)
        preview.append(empty_events(), 100_000)
    with av.open(str(tmp_path / f"film{suffix}")) as film:
        picture = next(film.decode(video=0)).to_ndarray(format="rgb24")
    greys = np.unique(picture[:240, :240, 0]).size
    assert (greys == 64) if suffix == ".gif" else (greys > 64)


@pytest.mark.parametrize("palette", PALETTES)
def test_a_gif_has_exactly_the_colours_of_its_palette(tmp_path, palette):
    events = make_events([0, 2], [0, 1], [10, 20], [1, 0])
    with Preview(tmp_path / "film.gif", 3, 2, fps=20, scale=10, palette=palette) as preview:
        preview.append(events, 50_000)
    with av.open(str(tmp_path / "film.gif")) as film:
        picture = next(film.decode(video=0)).to_ndarray(format="rgb24")
    chosen = PALETTES[palette]
    assert [tuple(picture[y, x]) for x, y in ((0, 0), (10, 0), (29, 19))] == [chosen.on, chosen.background, chosen.off]


# What is refused


@pytest.mark.parametrize(
    ("draw", "options", "message"),
    [
        (pictures.event_frame, {"window_us": 0}, "window_us = 0"),
        (pictures.event_frame, {"palette": "pink"}, "palette = 'pink'; choose one of dark, light, metavision"),
        (pictures.signed_counts, {"full": 0}, "full = 0"),
        (pictures.time_surface, {"tau_us": 0}, "tau_us = 0"),
        (pictures.space_time, {"max_events": 0}, "max_events = 0"),
        (pictures.time_slice, {"along": "t"}, "along = 't'"),
        (pictures.time_slice, {"thickness": HEIGHT + 1}, "thickness = 10; give 1 to 9"),
        (pictures.time_slice, {"at": HEIGHT}, "at = 9"),
        (pictures.event_rate, {"bin_us": 0}, "bin_us = 0"),
        (pictures.pixel_raster, {"most": 0}, "most = 0"),
        (pictures.pixel_raster, {"pixels": [(WIDTH, 0)]}, r"pixel \(12, 0\) is outside"),
        (partial(pictures.comparison, NOISE), {"bin_us": 0}, "bin_us = 0"),
    ],
)
def test_options_out_of_range_are_named(draw, options, message):
    with pytest.raises(ParameterError, match=message):
        draw(NOISE, **options)


@pytest.mark.parametrize(("options", "message"), [({"x": 9}, r"pixel \(9, 0\)"), ({"samples": 1}, "samples = 1")])
def test_a_pixel_that_is_not_there_cannot_be_watched(options, message):
    with pytest.raises(ParameterError, match=message):
        watch_pixel(scenes.step(width=4, height=4), CALM, **({"x": 0, "y": 0} | options))
