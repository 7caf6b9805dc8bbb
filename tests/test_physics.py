"""The emulator against physics: laws, closed forms, a slow twin, and what must change nothing."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import kstest

from dvs import emulator
from dvs.characterise.bench import watch
from dvs.emulator import Settings, emulate, stream
from dvs.events import EventArray, Recording
from dvs.frames import Frames, frames_from_array
from dvs.luminance import DARK_OFFSET, LINEAR, Encoding, luminance_table, relative_luminance
from dvs.noise import LAW_LEAK, LAW_RATE, LAW_STEPS_PER_LN, light_laws
from dvs.sensors import Sensor, load_sensor
from dvs.statistics import count_map, interval_quantiles

Floats = NDArray[np.float64]

THETA = 0.2
IDEAL = Sensor(theta_on=THETA, theta_off=THETA)
JUMP_US = 1.0


def show(
    sensor: Sensor, times_us: list[float] | Floats, light_ln: Floats, *, seed: int = 0, lux: float = 1000.0
) -> Recording:
    """Events of a row of pixels whose log luminance, (T, N), runs straight between the times."""
    light = np.asarray(light_ln, np.float64)[:, None, :]
    return watch(sensor, np.asarray(times_us) * 1e-6, light, seed=seed, illuminance_lux=lux)


def still(
    sensor: Sensor, duration_s: float, *, fps: float, pixels: int, seed: int = 0, lux: float = 1000.0
) -> Recording:
    """A still scene of that many pixels (a multiple of 64)."""
    frame = np.ones((pixels // 64, 64))
    times_us = np.arange(round(duration_s * fps) + 1) * 1e6 / fps

    def read() -> Iterator[tuple[float, Floats]]:
        return ((t_us, frame) for t_us in times_us)

    frames = Frames(width=64, height=pixels // 64, encoding=LINEAR, read=read)
    return emulate(frames, sensor, seed=seed, illuminance_lux=lux, dark_offset=1e-6)


def of_pixel(recording: Recording, x: int) -> EventArray:
    return recording.events[recording.events["x"] == x]


def walks(seed: int, pixels: int, intervals: int, *, slopes_ln_s: tuple[float, float]) -> tuple[Floats, Floats]:
    """Times (T,) and log luminance (T, pixels) that goes straight up or down at slopes of all sizes."""
    rng = np.random.default_rng(seed)
    changes = rng.uniform(0.1, 3.0, (intervals, pixels)) * rng.choice([-1.0, 1.0], (intervals, pixels))
    slope_ln_s = np.exp(rng.uniform(*np.log(slopes_ln_s), intervals))
    times_us = np.concatenate([[0.0], np.cumsum(1e6 / slope_ln_s)])
    # Down where it is bright and up where it is dark, so that it stays near the middle.
    light = [rng.uniform(-2.0, 0.0, pixels)]
    for change in changes:
        light.append(light[-1] + np.where(np.abs(light[-1] + 1) > 3, -np.sign(light[-1] + 1) * np.abs(change), change))
    return times_us, np.array(light)


def sampled(times_us: Floats, light_ln: Floats, factor: int) -> tuple[Floats, Floats]:
    """The same straight lines with `factor` times as many frames."""
    places = np.arange((times_us.size - 1) * factor + 1) / factor
    whole = np.arange(times_us.size)
    light = np.stack([np.interp(places, whole, column) for column in light_ln.T], axis=1)
    return np.interp(places, whole, times_us), light


def assert_within(found: EventArray, expected: list[tuple[float, int]], tolerance_us: Floats | float = 1.0) -> None:
    assert found["p"].tolist() == [polarity for _, polarity in expected]
    misses_us = np.abs(found["t"] - np.array([t_us for t_us, _ in expected]))
    assert (misses_us <= tolerance_us).all(), misses_us.max()


# Contrast


@pytest.mark.parametrize(("sign", "polarity"), [(1, 1), (-1, 0)])
def test_three_thresholds_of_contrast_make_three_events(sign: int, polarity: int) -> None:
    """A change of 3.2 theta crosses theta, 2 theta and 3 theta."""
    recording = show(IDEAL, [0, 1e4], sign * np.array([[0.0], [3.2 * THETA]]))
    # On the straight line the k-th crossing is at k / 3.2 of the way.
    assert_within(recording.events, [(1e4 * k / 3.2, polarity) for k in (1, 2, 3)])


@pytest.mark.parametrize("name", ["ideal", "davis346", "imx636"])
def test_a_still_scene_is_silent(name: str) -> None:
    """Light that does not change makes no events in a pixel without leak and noise, in any picture."""
    sensor = load_sensor(name).with_(width=None, height=None, leak_hz=0.0, shot_noise_hz=0.0, hot_pixel_fraction=0.0)
    picture = np.random.default_rng(0).integers(0, 256, (50, 70), np.uint8)
    assert len(emulate(np.stack([picture] * 20), sensor, fps=30)) == 0


def test_brightening_the_whole_scene_changes_nothing() -> None:
    """L = ln(k Y) = ln k + ln Y: a factor k shifts all of the log luminance, and only changes count."""
    scene = np.random.default_rng(1).uniform(0.05, 1.0, (12, 20, 30))
    dim, bright = (emulate(k * scene, IDEAL, fps=100, dark_offset=1e-12) for k in (1.0, 3.7))
    assert len(dim) > 10_000
    for name in ("x", "y", "p"):
        assert sorted(dim.events[name]) == sorted(bright.events[name])
    assert np.abs(dim.events["t"] - bright.events["t"]).max() <= 1


TONES = (20, 40, 60, 80, 100, 120)


@pytest.mark.parametrize("tone", TONES)
@pytest.mark.parametrize("theta", [0.1, 0.2, 0.3])
def test_a_step_from_a_tone_to_its_double_has_the_stated_number_of_events(tone: int, theta: float) -> None:
    """The model: floor((ln(Y2 + d) - ln(Y1 + d)) / theta), Y from the sRGB curve, d the dark offset."""
    before, after = relative_luminance(np.array([tone, 2 * tone], np.uint8), Encoding())
    step = np.array([tone, 2 * tone], np.uint8).reshape(2, 1, 1)
    recording = emulate(step, Sensor(theta_on=theta, theta_off=theta), fps=10)
    assert len(recording) == math.floor(math.log((after + DARK_OFFSET) / (before + DARK_OFFSET)) / theta)
    assert recording.events["p"].all()


@pytest.mark.parametrize("tone", TONES[1:])
def test_from_tone_40_up_the_dark_offset_takes_no_event_from_a_doubling(tone: int) -> None:
    """At theta = 0.2 the count is that of the light itself, floor(ln(Y2 / Y1) / theta)."""
    before, after = relative_luminance(np.array([tone, 2 * tone], np.uint8), Encoding())
    step = np.array([tone, 2 * tone], np.uint8).reshape(2, 1, 1)
    assert len(emulate(step, IDEAL, fps=10)) == math.floor(math.log(after / before) / THETA)


# Time


def crossings(times_us: Floats, light_ln: Floats, theta_on: float, theta_off: float) -> list[tuple[float, int]]:
    """Where straight lines pass the levels r + theta_on and r - theta_off, r moving to each level passed."""
    events = []
    r = light_ln[0]
    for t0, t1, start, end in zip(times_us, times_us[1:], light_ln, light_ln[1:], strict=False):
        while not r - theta_off < end < r + theta_on:
            r += theta_on if end > r else -theta_off
            events.append((t0 + (t1 - t0) * (r - start) / (end - start), int(end > start)))
    return events


def test_crossing_times_on_straight_lines_are_those_of_the_closed_form() -> None:
    """t = t0 + (level - a) / b for every event, at slopes from 0.02 to 20 000 ln/s and both polarities."""
    sensor = Sensor(theta_on=0.17, theta_off=0.23)
    times_us, light = walks(0, 200, 25, slopes_ln_s=(0.02, 2e4))
    recording = show(sensor, times_us, light)
    assert len(recording) > 20_000
    for x in range(200):
        assert_within(of_pixel(recording, x), crossings(times_us, light[:, x], 0.17, 0.23))


def low_pass(s: Floats | float, v: float, a: float, b: float, tau: float) -> Floats | float:
    """The solution of dv/dt = (a + b s - v) / tau after a time s."""
    return a + b * (s - tau) + (v - a + b * tau) * np.exp(-s / tau)


def slow_twin(
    times_us: Floats, light_ln: Floats, sensor: Sensor, tau_us: Callable[[float], float]
) -> list[tuple[float, int, float]]:
    """Events of one pixel, (time, polarity, slope of v there), by scanning finely and bisecting.

    tau_us: time constant at a log luminance, looked up when the pixel begins to see.
    """
    events = []
    v = r = light_ln[0]
    tau = tau_us(light_ln[0])
    blind_until = -math.inf
    for t0, t1, start, end in zip(times_us, times_us[1:], light_ln, light_ln[1:], strict=False):
        b = (end - start) / (t1 - t0)
        now = t0
        while now < t1:
            way = (v, start + b * (now - t0), b, tau)
            if blind_until > now:
                until = min(blind_until, t1)
                v = r = low_pass(until - now, *way)
                if blind_until <= t1:
                    tau = tau_us(start + b * (until - t0))
                now = until
                continue
            left = t1 - now
            fine = [np.linspace(0, min(left, reach), 800) for reach in (0.1 * tau, 3 * tau, 40 * tau, left)]
            s = np.unique(np.concatenate(fine))
            change = low_pass(s, *way) - r
            out = np.flatnonzero((change >= sensor.theta_on) | (change <= -sensor.theta_off))
            if out.size == 0:
                v, now = low_pass(left, *way), t1
                continue
            first = out[0]
            goal = r + (sensor.theta_on if change[first] > 0 else -sensor.theta_off)
            wait = 0.0
            if first > 0:
                missing = partial(_missing, goal, way)
                wait = brentq(missing, s[first - 1], s[first], xtol=1e-9, rtol=1e-15)
            now += wait
            v = low_pass(wait, *way)
            light = start + b * (now - t0)
            events.append((now, int(goal > r), (light - v) / tau))
            blind_until = now + sensor.refractory_us
            if sensor.refractory_us == 0:
                r, tau = v, tau_us(light)
    return events


def _missing(goal: float, way: tuple[float, float, float, float], s: float) -> float:
    return low_pass(s, *way) - goal


def tabulated(sensor: Sensor, column: int) -> Callable[[float], float]:
    """A law of the sensor at a log luminance, 1000 lux being 0, from the emulator's own table."""
    laws, lowest = light_laws(sensor, 1000.0, math.exp(-16))
    levels = lowest + np.arange(len(laws)) / LAW_STEPS_PER_LN
    return lambda light_ln: float(np.interp(light_ln, levels, laws[:, column]))


def test_the_laws_of_light_are_tabulated_to_a_thousandth() -> None:
    """tau = (E_ref / E)^n / (2 pi cutoff) + 1 / (2 pi cutoff_max); leak (1 - share) + share E / E_ref."""
    sensor = Sensor(cutoff_hz=300.0, cutoff_max_hz=900.0, leak_hz=0.1, leak_light_share=0.3)
    for light_ln in np.linspace(-6, 3, 97):
        light = math.exp(light_ln)
        tau_us = 1e6 / (2 * math.pi) * (1 / (300 * light) + 1 / 900)
        assert 1 / tabulated(sensor, LAW_RATE)(light_ln) == pytest.approx(tau_us, rel=1e-3)
        assert tabulated(sensor, LAW_LEAK)(light_ln) * 1e6 == pytest.approx(0.1 * (0.7 + 0.3 * light), rel=1e-3)


@pytest.mark.parametrize("refractory_us", [0.0, 300.0])
@pytest.mark.parametrize("cutoff_hz", [3000.0, 100.0, 3.0])
@pytest.mark.parametrize("exponent", [0.0, 1.0])
def test_the_photoreceptor_is_a_first_order_low_pass(exponent: float, cutoff_hz: float, refractory_us: float) -> None:
    """Every event is where dv/dt = (L - v) / tau brings v to a threshold, tau being that of the last look.

    To 1 us; where v creeps, to the time in which it moves by a millionth of a threshold.
    """
    sensor = Sensor(
        theta_on=0.15,
        theta_off=0.25,
        cutoff_hz=cutoff_hz,
        cutoff_light_exponent=exponent,
        refractory_us=refractory_us,
    )
    rate = tabulated(sensor, LAW_RATE)
    times_us, light = walks(3, 24, 12, slopes_ln_s=(1.0, 1e4))
    recording = show(sensor, times_us, light)
    assert len(recording) > 200
    for x in range(24):
        expected = slow_twin(times_us, light[:, x], sensor, lambda light_ln: 1 / rate(light_ln))
        slope = np.array([slope for _, _, slope in expected])
        tolerance_us = 1.0 + 1e-6 * THETA / np.maximum(np.abs(slope), 1e-15)
        assert_within(of_pixel(recording, x), [event[:2] for event in expected], tolerance_us)


def test_events_do_not_depend_on_the_frame_rate() -> None:
    """The same straight lines with 1, 4 and 16 times as many frames are the same light.

    Bandwidth that depends on light, blind time, leak and mismatch are on, noise is off.
    """
    sensor = Sensor(
        theta_on=0.15, theta_off=0.25, theta_sigma=0.03, refractory_us=200.0,
        cutoff_hz=500.0, cutoff_max_hz=1000.0, cutoff_sigma=0.3,
        leak_hz=2.0, leak_light_share=0.5, leak_sigma=0.4,
    )  # fmt: skip
    times_us, light = walks(5, 600, 20, slopes_ln_s=(10.0, 3e3))
    once, *often = (show(sensor, *sampled(times_us, light, factor)) for factor in (1, 4, 16))
    assert len(once) > 20_000
    for recording in often:
        for x in range(600):
            expected = of_pixel(once, x)
            assert_within(of_pixel(recording, x), list(zip(expected["t"], expected["p"], strict=True)))


def test_a_recording_may_begin_at_any_time() -> None:
    """Times are those of the frames: seconds after zero or microseconds since 1970."""
    times_us, light = walks(6, 20, 10, slopes_ln_s=(1.0, 100.0))
    since_1970_us = 1.7e15
    early, late = (show(IDEAL, start_us + np.round(times_us), light) for start_us in (0.0, since_1970_us))
    assert late.start_us == since_1970_us
    assert np.abs(late.events["t"] - int(since_1970_us) - early.events["t"]).max() <= 1


def test_a_scene_of_hours_keeps_its_microseconds() -> None:
    """At 0.001 ln/s the k-th event is at k theta / b, also after 6 h, where float32 has 2 ms left."""
    recording = show(IDEAL, [0.0, 21.9e9], np.array([[-14.0], [7.9]]))
    expected_us = 1e6 * THETA / 1e-3 * np.arange(1, 110)
    kept = recording.events["t"][: expected_us.size]
    assert np.abs(kept - expected_us).max() <= 1


# Blind time


def test_the_first_event_survives_the_refractory_time_and_the_reference_is_taken_at_its_end() -> None:
    """A jump by 5 thresholds: one event; what came while the pixel was blind is gone.

    From the level after the jump 0.8 theta are silent, and 1.2 theta make one event.
    """
    sensor = Sensor(theta_on=THETA, theta_off=THETA, refractory_us=500.0)
    levels = np.array([0.0, 0.0, 5.0, 5.0, 5.8, 5.8, 6.2, 6.2]) * THETA
    times_us = [0, 1000, 1001, 2000, 2001, 3000, 3001, 4000]
    recording = show(sensor, times_us, levels[:, None])
    # The first threshold is passed within the jump; then 1.2 - 0.8 theta make up the last one half way.
    assert_within(recording.events, [(1000.2, 1), (3000.5, 1)])


def test_light_that_turns_back_within_the_blind_time_was_never_there() -> None:
    """Up by 3.5 thresholds and down again within 100 us: one event, none on the way back, at rest after."""
    sensor = Sensor(theta_on=THETA, theta_off=THETA, refractory_us=500.0)
    light = np.array([0.0, 0.0, 3.5, 0.0, 0.0])[:, None] * THETA
    assert show(sensor, [0, 1000, 1050, 1100, 9000], light).events["p"].tolist() == [1]


def test_no_pixel_fires_faster_than_its_blind_time_allows() -> None:
    """Flicker of 10 ln at 2 kHz: intervals are never shorter than 700 us, less the rounding of two stamps."""
    sensor = Sensor(refractory_us=700.0)
    light = np.resize([0.0, 10.0], 400)[:, None] - 5 + np.zeros(30)
    recording = show(sensor, np.arange(400) * 250.0, light)
    for x in range(30):
        intervals = np.diff(of_pixel(recording, x)["t"])
        assert intervals.size > 100
        assert intervals.min() >= 699


# Leak


def test_leak_comes_at_its_rate_from_the_first_second_on_and_never_as_a_burst() -> None:
    """A clock of 1 / lambda in each pixel, with a phase of its own: first events are uniform in a period.

    Every window of k periods has k events from every pixel, give or take one.
    """
    leak_hz = 0.5
    recording = still(Sensor(leak_hz=leak_hz), 10.0, fps=10, pixels=4096)
    assert recording.events["p"].all()
    counts = count_map(recording)
    assert set(np.unique(counts)) <= {4, 5, 6}
    pixel = recording.events["y"].astype(int) * 64 + recording.events["x"]
    _, first = np.unique(pixel, return_index=True)
    assert kstest(recording.events["t"][first] * 1e-6 * leak_hz, "uniform").pvalue > 0.01
    # 2048 events a second; in windows of 50 ms 102, by chance 10 more or less.
    windows = np.histogram(recording.events["t"], np.arange(0, 10_000_001, 50_000))[0]
    assert windows.min() > 102 - 5 * 10.2
    assert windows.max() < 102 + 5 * 10.2


@pytest.mark.parametrize(("share", "lux", "factor"), [(0.0, 10.0, 1.0), (1.0, 10.0, 0.01), (0.4, 5000.0, 2.6)])
def test_leak_grows_with_light_by_the_stated_share(share: float, lux: float, factor: float) -> None:
    """lambda (1 - share + share E / E_ref), E_ref = 1000 lux; a clock counts 20 give or take 1."""
    sensor = Sensor(leak_hz=1.0, leak_light_share=share)
    recording = still(sensor, 20 / factor, fps=10, pixels=1024, lux=lux)
    assert len(recording) / 1024 == pytest.approx(20, rel=0.01)


def test_leak_with_a_blind_time_still_has_the_rate_asked_for() -> None:
    """100 Hz with 2 ms of blindness after each event: the drift makes up for it."""
    recording = still(Sensor(leak_hz=100.0, refractory_us=2000.0), 2.0, fps=100, pixels=512)
    assert len(recording) / 512 == pytest.approx(200, rel=0.01)


def test_leak_rates_spread_over_pixels_and_keep_their_mean() -> None:
    """Log-normal with sigma = 0.4; the mean of 4096 rates has an error of 0.4 / 64, sigma one of 0.4 / 90."""
    recording = still(Sensor(leak_hz=10.0, leak_sigma=0.4), 20.0, fps=10, pixels=4096)
    rates_hz = count_map(recording) / 20
    assert rates_hz.mean() == pytest.approx(10, rel=4 * 0.42 / 64)
    assert np.log(rates_hz).std() == pytest.approx(0.4, abs=4 * 0.4 / 90)


# Noise


@pytest.mark.parametrize(
    ("rate_hz", "fps", "duration_s", "pixels"),
    [
        (0.01, 10, 100.0, 2048),
        (0.01, 1000, 10.0, 8192),
        (1.0, 30, 10.0, 2048),
        (1.0, 1000, 4.0, 2048),
        (100.0, 10, 2.0, 1024),
        (100.0, 1000, 1.0, 1024),
    ],
)
def test_shot_noise_asked_for_is_shot_noise_obtained(
    rate_hz: float, fps: float, duration_s: float, pixels: int
) -> None:
    """A Poisson count of mean n = rate x time x pixels lies within 4 sqrt(n) of it, for ON (30 %) and OFF."""
    sensor = Sensor(shot_noise_hz=rate_hz, shot_noise_on_share=0.3, cutoff_hz=300.0)
    recording = still(sensor, duration_s, fps=fps, pixels=pixels, seed=2)
    for polarity, share in ((1, 0.3), (0, 0.7)):
        expected = share * rate_hz * duration_s * pixels
        assert count_map(recording, polarity).sum() == pytest.approx(expected, abs=4 * math.sqrt(expected))


def test_shot_noise_with_a_blind_time_still_has_the_rate_asked_for() -> None:
    """100 Hz with 2 ms of blindness after each event: 20 % of the time is blind, the rate is not."""
    sensor = Sensor(shot_noise_hz=100.0, refractory_us=2000.0)
    recording = still(sensor, 4.0, fps=100, pixels=512)
    assert len(recording) / 512 / 4 == pytest.approx(100, rel=4 / math.sqrt(512 * 400))


@pytest.mark.parametrize(("lux", "expected_hz"), [(1000.0, 0.5), (100.0, 5.0), (1.0, 40.0)])
def test_shot_noise_grows_in_the_dark_up_to_its_maximum(lux: float, expected_hz: float) -> None:
    """R (E_ref / E)^1 and at most 40 Hz: 0.5, 5 and 500, of which 40 are left."""
    sensor = Sensor(shot_noise_hz=0.5, shot_noise_light_exponent=1.0, shot_noise_max_hz=40.0)
    recording = still(sensor, 4000 / expected_hz / 512, fps=100, pixels=512, lux=lux)
    assert len(recording) == pytest.approx(4000, abs=4 * math.sqrt(4000))


def test_intervals_of_shot_noise_are_exponential() -> None:
    """Kolmogorov & Smirnov on every interval of 1024 pixels, each against its own count."""
    recording = still(Sensor(shot_noise_hz=5.0), 10.0, fps=100, pixels=1024, seed=4)
    assert kstest(interval_quantiles(recording), "uniform").pvalue > 0.01


def test_leak_and_shot_noise_together_have_the_rates_asked_for() -> None:
    """ON: leak and its share of the noise; OFF: the rest. 10 000 events and more scatter by less than 1 %."""
    sensor = Sensor(leak_hz=0.2, shot_noise_hz=0.2, cutoff_hz=300.0)
    recording = still(sensor, 60.0, fps=20, pixels=2048)
    later = recording.between(10_000_000, 60_000_000)
    for polarity, rate_hz in ((1, 0.3), (0, 0.1)):
        expected = rate_hz * 50 * 2048
        assert count_map(later, polarity).sum() == pytest.approx(expected, rel=0.05)


def test_a_signal_near_threshold_fires_early() -> None:
    """The hazard of an ON event grows as the light comes nearer to the threshold, and is nowhere negative.

    So with the same pixels a jump that stops short of theta fires sooner the less is missing, and a ramp
    is never later than without noise.
    """
    noisy = Sensor(theta_on=THETA, theta_off=THETA, shot_noise_hz=0.2, shot_noise_on_share=1.0, cutoff_hz=1000.0)
    medians_s = []
    for part in (0.0, 0.3, 0.6, 0.9):
        light = np.array([0.0, part, part])[:, None] * THETA + np.zeros(512)
        events = show(noisy, [0, JUMP_US, 60e6], light).events
        medians_s.append(np.median([events["t"][events["x"] == x][0] for x in range(512)]))
    # At rest the median is ln 2 / R = 3.5 s, with a standard error of 1 / (R sqrt(512)).
    assert medians_s[0] * 1e-6 == pytest.approx(math.log(2) / 0.2, abs=4 / 0.2 / math.sqrt(512))
    assert all(later > 1.5 * sooner for later, sooner in pairwise(medians_s))

    ramp = np.array([0.0, 1.05])[:, None] * THETA + np.zeros(512)
    without = show(noisy.with_(shot_noise_hz=0.0), [0, 1e6], ramp).events["t"]
    with_noise = show(noisy, [0, 1e6], ramp).events
    first_us = np.array([with_noise["t"][with_noise["x"] == x][0] for x in range(512)])
    assert (first_us <= without.max()).all()
    assert np.median(first_us) < 0.95 * without.min()


def test_hot_pixels_are_as_many_and_as_loud_as_asked_for() -> None:
    """2 % of 20 480 pixels, 410 +- 20, at 50 Hz; the others make one event in a hundred seconds."""
    sensor = Sensor(hot_pixel_fraction=0.02, hot_pixel_hz=50.0, shot_noise_hz=0.01)
    rates_hz = count_map(still(sensor, 4.0, fps=50, pixels=20_480, seed=3)) / 4
    hot = rates_hz > 10
    assert hot.sum() == pytest.approx(410, abs=4 * 20)
    assert rates_hz[hot].mean() == pytest.approx(50, rel=4 / math.sqrt(410 * 200))
    assert rates_hz[~hot].mean() == pytest.approx(0.01, rel=0.15)


def test_thresholds_vary_from_pixel_to_pixel_and_stay_what_they_are() -> None:
    """On a ramp of slope b the first event is at theta_i / b: mean theta, sd sigma, OFF independent of ON.

    The same pixel has the same threshold in a second recording with the same seed, another with another.
    """
    sensor = Sensor(theta_on=0.25, theta_off=0.2, theta_sigma=0.03)
    up = np.array([0.0, 0.45])[:, None] + np.zeros(4000)

    def thetas(light: Floats, seed: int) -> Floats:
        events = show(sensor, [0, 1e6], light, seed=seed).events
        pixel, first = np.unique(events["x"], return_index=True)
        assert pixel.size == 4000
        return events["t"][first] * 1e-6 * 0.45

    on, off = thetas(up, 0), thetas(-up, 0)
    error = 0.03 / math.sqrt(4000)
    assert on.mean() == pytest.approx(0.25, abs=4 * error)
    assert off.mean() == pytest.approx(0.2, abs=4 * error)
    assert on.std() == pytest.approx(0.03, abs=4 * error / math.sqrt(2))
    assert off.std() == pytest.approx(0.03, abs=4 * error / math.sqrt(2))
    assert abs(np.corrcoef(on, off)[0, 1]) < 4 / math.sqrt(4000)
    assert (thetas(up, 0) == on).all()
    assert abs(np.corrcoef(on, thetas(up, 1))[0, 1]) < 4 / math.sqrt(4000)


# What must change nothing


def busy_scene() -> tuple[NDArray[np.uint8], Sensor]:
    """Frames (24, 40, 61) that are neither whole tiles nor whole chunks, and a sensor with everything on."""
    rng = np.random.default_rng(8)
    stack = rng.integers(20, 230, (24, 40, 61)).astype(np.uint8)
    sensor = load_sensor("davis346").with_(
        width=None, height=None, shot_noise_hz=5.0, leak_hz=1.0, hot_pixel_fraction=0.01, bus_mev_s=2.0
    )
    return stack, sensor


def test_the_same_seed_gives_the_same_bytes_on_any_number_of_threads() -> None:
    """Randomness belongs to the pixel, not to the thread."""
    stack, sensor = busy_scene()
    one, two, three = (emulate(stack, sensor, fps=100, seed=7, threads=n).events.tobytes() for n in (1, 2, 3))
    assert one == two == three


def test_the_same_seed_gives_the_same_bytes_however_the_frames_are_grouped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Chunks are where the program pauses, not where the light does."""
    stack, sensor = busy_scene()
    whole = emulate(stack, sensor, fps=100, seed=7).events.tobytes()
    settings = Settings(sensor=sensor, seed=7)
    for chunk_frames in (1, 2, 5, 24):
        batches = stream(frames_from_array(stack, fps=100), settings, chunk_frames=chunk_frames)
        assert np.concatenate([batch.events for batch in batches]).tobytes() == whole
    monkeypatch.setattr(emulator, "CHUNK_PIXELS", 3 * 40 * 61)
    assert emulate(stack, sensor, fps=100, seed=7).events.tobytes() == whole


def test_another_seed_gives_other_events() -> None:
    stack, sensor = busy_scene()
    first, second = (emulate(stack, sensor, fps=100, seed=seed).events.tobytes() for seed in (0, 1))
    assert first != second


def test_the_same_light_in_any_numbers_makes_the_same_events() -> None:
    """8-bit codes c, 16-bit codes 257 c, linear light of c, and grey colour are one and the same light."""
    codes = np.random.default_rng(9).integers(0, 256, (8, 20, 30)).astype(np.uint8)
    light = luminance_table(Encoding(), 8)[codes]
    colour = np.repeat(codes[..., None], 3, axis=-1)
    inputs = [codes.astype(np.uint16) * 257, light, light.astype(np.float32), colour]
    expected = emulate(codes, IDEAL, fps=100)
    assert len(expected) > 10_000
    for stack in inputs:
        found = emulate(stack, IDEAL, fps=100)
        for x in range(30):
            ours, theirs = of_pixel(expected, x), of_pixel(found, x)
            order = [np.lexsort((events["t"], events["y"])) for events in (ours, theirs)]
            ours, theirs = ours[order[0]], theirs[order[1]]
            assert (ours["p"] == theirs["p"]).all()
            assert np.abs(ours["t"] - theirs["t"]).max() <= 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (700, 1), (3, 257)])
def test_a_pixel_does_not_know_how_many_there_are(shape: tuple[int, int]) -> None:
    """The same light everywhere makes the same events everywhere, in frames of any shape."""
    times_us, light = walks(10, 1, 8, slopes_ln_s=(1.0, 1e3))
    expected = crossings(times_us, light[:, 0], THETA, THETA)
    recording = watch(IDEAL, times_us * 1e-6, light[:, :, None] + np.zeros(shape), seed=0, illuminance_lux=1000.0)
    assert (count_map(recording) == len(expected)).all()
    for y, x in ((0, 0), (shape[0] - 1, shape[1] - 1)):
        events = recording.events
        assert_within(events[(events["x"] == x) & (events["y"] == y)], expected)


def test_nothing_happened_is_an_empty_recording() -> None:
    """No change, no events: but a span that was watched, and a size."""
    recording = emulate(np.full((3, 4, 5), 99, np.uint8), "ideal", fps=10)
    assert (len(recording), recording.sensor_size, recording.start_us, recording.stop_us) == (
        0,
        (5, 4, 2),
        0,
        200_000,
    )


def test_events_are_sorted_and_within_the_span_that_was_watched() -> None:
    stack, sensor = busy_scene()
    recording = emulate(stack, sensor, fps=99)
    assert (np.diff(recording.events["t"]) >= 0).all()
    assert recording.start_us <= recording.events["t"][0]
    assert recording.events["t"][-1] <= recording.stop_us


def test_an_event_that_leaves_after_the_last_frame_belongs_to_the_recording() -> None:
    """It fires at 952 us and the bus takes 100 us for it; the last frame is at 1000 us."""
    step = np.array([0.2, 0.2 * math.exp(0.21)]).reshape(2, 1, 1)
    slow_bus = IDEAL.with_(readout="row-arbiter", bus_mev_s=0.01)
    recording = emulate(step, slow_bus, times_us=[0, 1000], dark_offset=1e-9)
    assert recording.events["t"].tolist() == [round(1000 * 0.2 / 0.21) + 100]
    assert recording.stop_us >= 1052


def after_a_global_reset(sensor: Sensor, *, before: float, seed: int = 0) -> EventArray:
    """64 pixels see light of ln `before`, are reset at 10 ms with light of ln 0, then see it rise by 1.1 in 11 ms."""
    settings = Settings(sensor=sensor, seed=seed, threads=1, dark_offset=1e-6)
    state = emulator.start(settings, LINEAR, 0.0, np.ones((1, 64)))
    _, state = emulator.advance(settings, LINEAR, state, [5000.0], np.full((1, 1, 64), math.exp(before)))
    state = emulator.global_reset(settings, LINEAR, state, 10_000.0, np.ones((1, 64)))
    return emulator.advance(settings, LINEAR, state, [21_000.0], np.full((1, 1, 64), math.exp(1.1)))[0]


@pytest.mark.parametrize("before", [0.0, 0.9 * THETA, -1.3])
def test_a_global_reset_forgets_what_was_seen_before(before):
    """Light that rises by 1.1 in 11 ms crosses a threshold of 0.2 every 2 ms, whatever was left of another one."""
    events = after_a_global_reset(IDEAL, before=before)
    assert (events["p"] == 1).all()
    assert np.abs(events["t"][events["x"] == 7] - 10_000 - 2000 * np.arange(1, 6)).max() <= 1


def test_a_global_reset_keeps_the_mismatch_of_the_pixels_and_continues_their_noise():
    uneven = IDEAL.with_(theta_sigma=0.2 * THETA)
    firsts = [after_a_global_reset(uneven, before=before)[["x", "t"]] for before in (0.0, -1.3)]
    assert np.array_equal(*firsts)
    assert np.unique(firsts[0]["t"]).size > 64
    noisy = IDEAL.with_(shot_noise_hz=2000.0)
    settings = Settings(sensor=noisy, seed=0, threads=1)
    frame = np.ones((1, 64))
    state = emulator.start(settings, LINEAR, 0.0, frame)
    ever, state = emulator.advance(settings, LINEAR, state, [10_000.0], frame[None])
    state = emulator.global_reset(settings, LINEAR, state, 10_000.0, frame)
    again, _ = emulator.advance(settings, LINEAR, state, [20_000.0], frame[None])
    assert ever.size > 100
    assert not np.array_equal(ever["t"], again["t"] - 10_000)
