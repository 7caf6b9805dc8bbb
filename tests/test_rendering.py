"""Pictures of events: what is seen where and when, and films that appear whole or not at all."""

import math
import tracemalloc

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvs import rendering
from dvs.errors import FormatError, InputError, OutputError, ParameterError
from dvs.events import Recording, empty_events, make_events
from dvs.luminance import LINEAR, Encoding
from dvs.palettes import PALETTES
from dvs.preview import Preview

DARK = PALETTES["dark"]


def colours(picture, *places):
    return [tuple(int(value) for value in picture[y, x]) for x, y in places]


def film_pictures(path):
    """All pictures of a film as RGB arrays (H, W, 3), and the times they are shown in seconds."""
    with av.open(str(path)) as film:
        frames = list(film.decode(video=0))
    return [frame.to_ndarray(format="rgb24") for frame in frames], [float(frame.time) for frame in frames]


def sweep(width=34, height=34, stop_us=200_000):
    """A column that goes once over the sensor, one ON event of a random row every 100 us."""
    t_us = np.arange(0, stop_us, 100)
    y = np.random.default_rng(0).integers(0, height, t_us.size)
    events = make_events(t_us * width // stop_us, y, t_us, np.ones(t_us.size))
    return Recording(events=events, width=width, height=height, stop_us=stop_us)


# Stills


@pytest.mark.parametrize("name", PALETTES)
def test_the_last_event_of_a_pixel_is_seen(name):
    events = make_events([0, 1, 1], [0, 2, 2], [10, 20, 30], [1, 1, 0])
    picture = rendering.accumulate(events, width=3, height=4, palette=name)
    palette = PALETTES[name]
    assert picture.shape == (4, 3, 3)
    assert colours(picture, (0, 0), (1, 2), (2, 3)) == [palette.on, palette.off, palette.background]


def test_a_time_surface_fades_with_its_time_constant():
    """30 ms old: e**-1; now: 1; OFF is negative; the event after t_us has not happened."""
    events = make_events([0, 1, 2, 2], [0, 0, 0, 0], [0, 30_000, 30_000, 40_000], [1, 0, 1, 0])
    surface = rendering.time_surface(events, width=4, height=1, t_us=30_000, tau_us=30_000)
    assert surface[0] == pytest.approx([math.exp(-1), -1, 1, 0])


def test_shading_runs_from_background_to_full_colour():
    picture = rendering.shade(np.array([[0.0, 1.0, -1.0, 5.0, 0.5]]))
    halfway = tuple(round(0.5 * (a + b)) for a, b in zip(DARK.background, DARK.on, strict=True))
    expected = [DARK.background, DARK.on, DARK.off, DARK.on, halfway]
    assert colours(picture, *((x, 0) for x in range(5))) == expected


def test_an_srgb_frame_looks_like_itself():
    frame = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(rendering.screen_codes(frame, Encoding()), frame)


def test_linear_and_wide_frames_become_screen_codes():
    """Half the light of white is code 188 in sRGB (IEC 61966-2-1), full scale is 255, more is too."""
    light = np.array([[0.0, 0.5, 1.0, 3.0]], np.float32)
    assert rendering.screen_codes(light, LINEAR).tolist() == [[0, 188, 255, 255]]
    wide = np.array([[0, 32768, 65535]], np.uint16)
    linear16 = Encoding(transfer="linear", white=65535)
    assert rendering.screen_codes(wide, linear16).tolist() == [[0, 188, 255]]


def test_the_figure_needs_no_window_and_takes_silence(tmp_path):
    silent = Recording(events=empty_events(), width=8, height=6)
    rendering.figure_summary(silent).savefig(tmp_path / "silent.png")
    busy = sweep()
    figure = rendering.figure_summary(busy, frame=np.zeros((34, 34), np.uint8), exposure_us=10_000)
    figure.savefig(tmp_path / "busy.png")
    assert [axes.get_title() for axes in figure.axes] == [
        "frame",
        "events of 10 ms",
        "events in space and time",
    ]


# One after the other


@settings(max_examples=50, deadline=None)
@given(
    times=st.lists(st.integers(0, 500_000), max_size=30).map(sorted),
    fps=st.sampled_from([7, 24, 29.97, 60, 1000 / 3]),
    idle_us=st.integers(0, 100_000),
)
def test_every_event_is_seen_in_one_picture(times, fps, idle_us):
    """Event k happens at pixel k, so the pixels lit in all pictures are the events."""
    count = len(times)
    events = make_events(np.arange(count), np.zeros(count), times, np.ones(count))
    stop_us = max(times, default=0) + idle_us
    recording = Recording(events=events, width=max(count, 1), height=1, stop_us=stop_us)
    seen = np.zeros(recording.width, int)
    for _, picture in rendering.render_frames(recording, fps):
        seen += (picture[0] == DARK.on).all(axis=-1)
    assert seen.tolist() == [1] * count or count == 0


def test_pictures_come_at_their_times():
    """0.2 s at 50 pictures a second: ten, at 20, 40, ..., 200 ms."""
    times = [t_us for t_us, _ in rendering.render_frames(sweep(), fps=50)]
    assert times == [20_000 * k for k in range(1, 11)]


def test_a_longer_exposure_shows_events_again():
    """40 ms of a sweep of 34 columns in 200 ms are 6.8 columns; 20 ms are 3.4."""
    pictures = [picture for _, picture in rendering.render_frames(sweep(), fps=50, exposure_us=40_000)]
    columns = [(picture == DARK.on).all(axis=-1).any(axis=0).sum() for picture in pictures]
    assert columns[0] == 4
    assert set(columns[1:]) <= {7, 8}


# Films


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_a_film_has_a_picture_for_each_period(tmp_path, suffix):
    """0.2 s at 25 pictures a second are 5; an enlarged 34 x 34 is 8 x 34 = 272 and 24 of caption."""
    path = tmp_path / f"film{suffix}"
    recording = sweep()
    with Preview(path, 34, 34, fps=25) as preview:
        preview.append(recording.events, recording.stop_us)
    pictures, times = film_pictures(path)
    assert len(pictures) == 5
    assert pictures[0].shape == (272 + 24, 272, 3)
    assert times == pytest.approx([0, 0.04, 0.08, 0.12, 0.16], abs=0.001)


def test_a_gif_holds_the_colours_of_its_palette(tmp_path):
    path = tmp_path / "film.gif"
    events = make_events([0, 2], [0, 1], [10, 20], [1, 0])
    with Preview(path, 3, 2, fps=20, scale=10) as preview:
        preview.append(events, 50_000)
    (picture,), _ = film_pictures(path)
    assert colours(picture, (0, 0), (9, 9), (10, 0), (29, 19)) == [
        DARK.on,
        DARK.on,
        DARK.background,
        DARK.off,
    ]


def test_a_film_does_not_depend_on_the_chunks(tmp_path):
    recording = sweep()
    for name, chunk_us in (("whole.gif", 200_000), ("many.gif", 7_000)):
        with Preview(tmp_path / name, 34, 34, fps=25, exposure_us=60_000) as preview:
            for start_us in range(0, recording.stop_us, chunk_us):
                preview.append(recording.between(start_us, start_us + chunk_us).events, start_us + chunk_us)
            preview.append(empty_events(), recording.stop_us)
    assert len(film_pictures(tmp_path / "whole.gif")[0]) == 5
    np.testing.assert_array_equal(film_pictures(tmp_path / "whole.gif")[0], film_pictures(tmp_path / "many.gif")[0][:5])


def test_the_frame_on_the_left_is_the_latest_one(tmp_path):
    """Frames 50 and 200 at 0 and 50 ms: pictures at 40 and 80 ms show one each; none is shown before."""
    path = tmp_path / "film.gif"
    with Preview(path, 10, 10, encoding=Encoding(), fps=25, scale=1, start_us=-40_000) as preview:
        preview.show(np.full((10, 10), 50, np.uint8), 0.0)
        preview.show(np.full((10, 10), 200, np.uint8), 50_000.0)
        preview.append(empty_events(), 80_000)
    pictures, _ = film_pictures(path)
    assert colours(pictures[0], (4, 4)) == [DARK.background]
    # 64 greys, 255 / 63 apart: a code is kept to within 2.
    assert [int(picture[4, 4, 0]) for picture in pictures[1:]] == pytest.approx([50, 200], abs=2)
    assert pictures[0].shape[1] == 10 + 8 + 10


def test_slow_motion_stretches_time(tmp_path):
    """0.2 s ten times slower at 10 pictures a second: 20 pictures over 2 s."""
    path = tmp_path / "film.mp4"
    recording = sweep()
    with Preview(path, 34, 34, fps=10, slowdown=10) as preview:
        preview.append(recording.events, recording.stop_us)
    pictures, times = film_pictures(path)
    assert len(pictures) == 20
    assert times[-1] == pytest.approx(1.9)


def test_odd_sensors_fit_into_video(tmp_path):
    with Preview(tmp_path / "film.mp4", 33, 35, scale=7) as preview:
        preview.append(empty_events(), 100_000)
    pictures, _ = film_pictures(tmp_path / "film.mp4")
    assert pictures[0].shape == (7 * 35 + 1 + 24, 7 * 33 + 1, 3)


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_a_film_of_nothing_can_be_shown(tmp_path, suffix):
    path = tmp_path / f"film{suffix}"
    with Preview(path, 34, 34):
        pass
    assert len(film_pictures(path)[0]) == 1


def test_memory_does_not_grow_with_the_film(tmp_path):
    """After 10 chunks and after 60 the same is held, to within a tenth of the events of one chunk."""
    t_us = np.sort(np.random.default_rng(0).integers(0, 40_000, 100_000))
    chunk = make_events(np.zeros(t_us.size), np.zeros(t_us.size), t_us, np.ones(t_us.size))
    held = []
    tracemalloc.start()
    with Preview(tmp_path / "film.gif", 8, 8, encoding=Encoding(), fps=25, scale=1) as preview:
        for k in range(60):
            events = chunk.copy()
            events["t"] += 40_000 * k
            preview.show(np.full((8, 8), k, np.uint8), 40_000.0 * k)
            preview.append(events, 40_000 * (k + 1))
            held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert held[-1] - held[9] < 0.1 * chunk.nbytes


# What is refused


def test_an_existing_film_is_not_harmed(tmp_path):
    path = tmp_path / "film.gif"
    path.write_bytes(b"precious")
    with pytest.raises(OutputError, match="exists"):
        Preview(path, 8, 8)
    assert path.read_bytes() == b"precious"
    with Preview(path, 8, 8, overwrite=True) as preview:
        preview.append(empty_events(), 100_000)
    assert path.read_bytes()[:3] == b"GIF"


def test_a_film_cut_short_leaves_nothing(tmp_path):
    def interrupted():
        with Preview(tmp_path / "film.mp4", 8, 8) as preview:
            preview.append(empty_events(), 100_000)
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_a_film_that_appeared_meanwhile_is_not_harmed(tmp_path):
    path = tmp_path / "film.gif"
    preview = Preview(path, 8, 8)
    path.write_bytes(b"precious")
    with pytest.raises(OutputError, match=r"appeared meanwhile; .* kept in .*\.part$"):
        preview.close()
    assert path.read_bytes() == b"precious"


def test_a_folder_that_is_missing_is_said(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        Preview(tmp_path / "nowhere" / "film.gif", 8, 8)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"path": "film.webm"}, FormatError, r"film\.webm"),
        ({"fps": 0}, ParameterError, "fps = 0"),
        ({"fps": math.nan}, ParameterError, "fps = nan"),
        ({"fps": 60}, ParameterError, "players slow a .gif down beyond 50"),
        ({"fps": 50, "slowdown": 1e6}, ParameterError, "closer than 1 us"),
        ({"slowdown": -1}, ParameterError, "slowdown = -1"),
        ({"exposure_us": 0}, ParameterError, "exposure_us = 0"),
        ({"scale": 0}, ParameterError, "scale = 0"),
        ({"palette": "pink"}, ParameterError, "palette = 'pink'; choose one of dark, light"),
    ],
)
def test_options_out_of_range_are_named(tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        Preview(**({"path": tmp_path / "film.gif", "width": 8, "height": 8} | options))
    assert list(tmp_path.iterdir()) == []


def test_frames_that_do_not_fit_are_refused(tmp_path):
    wrong = pytest.raises(InputError, match=r"\(4, 5\), expected \(6, 8\)")
    with Preview(tmp_path / "a.gif", 8, 6, encoding=Encoding()) as preview, wrong:
        preview.show(np.zeros((4, 5), np.uint8), 0)
    wrong = pytest.raises(ParameterError, match="events alone")
    with Preview(tmp_path / "b.gif", 8, 6) as preview, wrong:
        preview.show(np.zeros((6, 8), np.uint8), 0)


def test_a_time_surface_needs_a_time_constant():
    with pytest.raises(ParameterError, match="tau_us = 0"):
        rendering.time_surface(empty_events(), 4, 4, t_us=0, tau_us=0)
