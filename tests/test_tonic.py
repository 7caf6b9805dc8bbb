"""tonic's transforms take the events of a recording as they are, made or read, with its `sensor_size`.

Each expected value is a count or a formula, so a type that tonic misreads (a bool polarity, -1/+1,
unsigned coordinates) would show as a wrong number, not as an exception.
"""

import numpy as np
import pytest
import tonic
from tonic import transforms

from dvs.events import Recording, make_events
from dvs.files import read, write

WIDTH, HEIGHT = 40, 30


@pytest.fixture(params=["made", "read"])
def recording(request, tmp_path):
    """1000 events, 3 of 4 ON, one each millisecond from 20 ms on: bins of 100 ms hold 100 each."""
    rng = np.random.default_rng(0)
    index = np.arange(1000)
    events = make_events(
        rng.integers(0, WIDTH, 1000), rng.integers(0, HEIGHT, 1000), 20_000 + 1000 * index, index % 4 != 0
    )
    made = Recording(events=events, width=WIDTH, height=HEIGHT)
    if request.param == "made":
        return made
    write(tmp_path / "events.h5", made)
    return read(tmp_path / "events.h5")


@pytest.fixture(autouse=True)
def untouched(recording):
    """No transform may change the events it is given."""
    before = recording.events.copy()
    yield
    np.testing.assert_array_equal(recording.events, before)


def counts(events):
    """Events of each polarity and pixel, shape (2, H, W)."""
    image = np.zeros((2, HEIGHT, WIDTH), int)
    np.add.at(image, (events["p"], events["y"], events["x"]), 1)
    return image


def test_frames_count_the_events_of_each_polarity(recording):
    """(T, P, H, W): ten bins of 100 events, 25 of them OFF (channel 0) and 75 ON (channel 1)."""
    frames = transforms.ToFrame(sensor_size=recording.sensor_size, n_event_bins=10)(recording.events)
    assert frames.shape == (10, 2, HEIGHT, WIDTH)
    assert (frames.sum(axis=(2, 3)) == [25, 75]).all()
    np.testing.assert_array_equal(frames.sum(axis=0), counts(recording.events))


def test_frames_of_a_time_window_count_its_events(recording):
    """Windows of 100 ms start with the first event and hold 100 events; the last one ends at 999 ms."""
    frames = transforms.ToFrame(sensor_size=recording.sensor_size, time_window=100_000, include_incomplete=True)(
        recording.events
    )
    assert frames.sum(axis=(1, 2, 3)).tolist() == [100] * 10


def test_an_image_counts_all_events(recording):
    image = transforms.ToImage(sensor_size=recording.sensor_size)(recording.events)
    np.testing.assert_array_equal(image, counts(recording.events))


def test_a_voxel_grid_sums_on_minus_off(recording):
    """Each event adds its sign, shared between the two bins around it.

    With ten bins over the 999 ms from first to last event, event i falls at s = 10 i / 999. There
    is no bin 10: events with s > 9 keep the share 10 - s that falls on bin 9.
    """
    index = np.arange(1000)
    sign = np.where(index % 4 != 0, 1, -1)
    expected = (sign * np.clip(10 - 10 * index / 999, 0, 1)).sum()
    grid = transforms.ToVoxelGrid(sensor_size=recording.sensor_size, n_time_bins=10)(recording.events)
    assert grid.shape == (10, 1, HEIGHT, WIDTH)
    assert grid.sum() == pytest.approx(expected)


def test_a_time_surface_decays_from_the_last_event(recording):
    """exp(-(T - t_last) / tau) for each pixel and polarity, T the end of the slice; 0 where none came."""
    tau_us, slice_us = 50_000, 200_000
    surfaces = transforms.ToTimesurface(sensor_size=recording.sensor_size, dt=slice_us, tau=tau_us)(recording.events)
    end_us = recording.events["t"][0] + slice_us
    seen = recording.events[recording.events["t"] < end_us]
    last_us = np.full((2, HEIGHT, WIDTH), -np.inf)
    np.maximum.at(last_us, (seen["p"], seen["y"], seen["x"]), seen["t"])
    np.testing.assert_allclose(surfaces[0], np.exp(-(end_us - last_us) / tau_us))


def test_denoising_drops_what_is_alone(recording):
    """Of two neighbours within the filter time the second is kept; a lone event is dropped."""
    events = make_events([5, 6, 20], [5, 5, 20], [50_000, 50_100, 50_200], [1, 0, 1])
    kept = transforms.Denoise(filter_time=1000)(events)
    np.testing.assert_array_equal(kept, events[1:2])
    assert set(transforms.Denoise(filter_time=1000)(recording.events)["t"]) < set(recording.events["t"])


def test_a_centre_crop_keeps_the_middle(recording):
    """20 x 10 of 40 x 30 begins at (10, 10)."""
    cropped = transforms.CenterCrop(sensor_size=recording.sensor_size, size=(20, 10))(recording.events)
    np.testing.assert_array_equal(counts(cropped)[:, :10, :20], counts(recording.events)[:, 10:20, 10:30])
    assert len(cropped) == counts(recording.events)[:, 10:20, 10:30].sum()


def test_a_crop_larger_than_the_sensor_shifts_the_events(recording):
    """60 x 50 around 40 x 30 begins at (-10, -10)."""
    padded = transforms.CenterCrop(sensor_size=recording.sensor_size, size=(60, 50))(recording.events)
    np.testing.assert_array_equal(padded["x"], recording.events["x"] + 10)
    np.testing.assert_array_equal(padded["y"], recording.events["y"] + 10)


def test_flipping_the_polarity_swaps_on_and_off(recording):
    flipped = transforms.RandomFlipPolarity(p=1.0)(recording.events)
    np.testing.assert_array_equal(flipped["p"], 1 - recording.events["p"])


def test_mirroring_maps_the_first_column_to_the_last(recording):
    mirrored = transforms.RandomFlipLR(sensor_size=recording.sensor_size, p=1.0)(recording.events)
    np.testing.assert_array_equal(mirrored["x"], WIDTH - 1 - recording.events["x"])


def test_reversing_the_time_turns_on_into_off(recording):
    """What brightened then darkens, in the opposite order."""
    reversed_ = transforms.RandomTimeReversal(p=1.0)(recording.events)
    np.testing.assert_array_equal(reversed_["p"], 1 - recording.events["p"][::-1])
    assert (np.diff(reversed_["t"]) >= 0).all()


def test_jitter_stays_on_the_sensor(recording):
    jittered = transforms.SpatialJitter(sensor_size=recording.sensor_size, var_x=9, var_y=9, clip_outliers=True)(
        recording.events
    )
    assert jittered["x"].min() >= 0
    assert jittered["x"].max() < WIDTH


def test_a_dead_pixel_is_silent_within_its_dead_time(recording):
    """Kept are the events whose predecessor in the same pixel is more than 60 ms away."""
    last_us, expected = {}, []
    for event in recording.events:
        pixel = int(event["x"]), int(event["y"])
        if event["t"] - last_us.get(pixel, -np.inf) > 60_000:
            expected.append(event)
        last_us[pixel] = event["t"]
    kept = transforms.RefractoryPeriod(delta=60_000)(recording.events)
    np.testing.assert_array_equal(kept, np.array(expected))
    assert len(kept) < len(recording.events)


def test_slices_of_time_hold_each_event_once(recording):
    """100 ms hold 100 events of this recording."""
    slices, _ = tonic.slicers.SliceByTime(time_window=100_000, include_incomplete=True).slice(recording.events, 0)
    assert [len(piece) for piece in slices] == [100] * 10
    np.testing.assert_array_equal(np.concatenate(slices), recording.events)


def test_transforms_compose(recording):
    """Crop, then count: the frames hold the events of the crop."""
    size = (20, 10)
    compose = transforms.Compose(
        [
            transforms.CenterCrop(sensor_size=recording.sensor_size, size=size),
            transforms.ToFrame(sensor_size=(*size, 2), event_count=1),
        ]
    )
    frames = compose(recording.events)
    assert frames.shape[1:] == (2, 10, 20)
    assert frames.sum() == counts(recording.events)[:, 10:20, 10:30].sum()
