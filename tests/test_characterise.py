"""The bench measures what the sensor is: each experiment, with few repetitions, against its theory."""

import importlib
import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from dvs.characterise import (
    Curve,
    Measurement,
    Number,
    bandwidth,
    bus_delay,
    bus_throughput,
    contrast_threshold,
    events_per_contrast,
    experiments,
    frequency_response,
    latency,
    noise_intervals,
    noise_rates,
    on_share,
    poster,
    refractory_ceiling,
    thresholds,
)
from dvs.characterise.__main__ import main
from dvs.characterise.measurement import curve
from dvs.errors import InputError, ParameterError
from dvs.sensors import Sensor, load_sensor

IDEAL = load_sensor("ideal")
UNEVEN = Sensor(theta_on=0.2, theta_off=0.25, theta_sigma=0.03)
SLOW = Sensor(cutoff_hz=300.0, cutoff_max_hz=900.0)


def assert_agrees(curve: Curve, least_error: float = 0.0) -> None:
    """Each value is within 4 standard errors of theory, and all together are no worse than chance."""
    distance = (curve.measured - curve.theory) / np.maximum(curve.error, least_error)
    assert np.abs(distance).max() < 4
    assert np.sqrt((distance**2).mean()) < 1.5


def assert_close(number: Number, errors: float = 4.0) -> None:
    assert number.measured == pytest.approx(number.theory, abs=errors * number.error)


# Contrast


def test_the_s_curve_is_the_error_function() -> None:
    """P = (1 + erf((D - theta) / (sqrt(2) sigma))) / 2; a share of 100 pixels is known to 0.01 at least."""
    measured = contrast_threshold(UNEVEN, pixels=100)
    for name, theta in (("ON", 0.2), ("OFF", 0.25)):
        s_curve = measured.curves[name]
        erf = [0.5 * (1 + math.erf((contrast - theta) / (math.sqrt(2) * 0.03))) for contrast in s_curve.x]
        np.testing.assert_allclose(s_curve.theory, erf, atol=1e-12)
        assert_agrees(s_curve, least_error=0.01)
    for number in measured.numbers.values():
        assert number.error < 0.002
        assert_close(number)


def test_an_ideal_pixel_fires_from_its_threshold_on() -> None:
    """Without mismatch the S-curve is a step, and all of it lies between two neighbouring contrasts."""
    for s_curve in contrast_threshold(IDEAL, pixels=2).curves.values():
        assert (s_curve.measured == (s_curve.x >= 0.2)).all()


def test_a_slow_change_makes_as_many_events_as_it_has_thresholds_and_a_jump_fewer() -> None:
    """floor(D / theta) over pixels; in a jump what came while the pixel was blind is lost."""
    sensor = UNEVEN.with_(cutoff_hz=300.0, cutoff_sigma=0.2, refractory_us=300.0)
    curves = events_per_contrast(sensor, pixels=60).curves
    for found in curves.values():
        assert_agrees(found, least_error=0.05)
    assert curves["ON jump"].measured[-1] < 0.75 * curves["ON"].measured[-1]


def test_an_ideal_pixel_counts_thresholds() -> None:
    for found in events_per_contrast(IDEAL, pixels=1).curves.values():
        assert found.measured.tolist() == np.floor(found.x / 0.2).tolist()


def test_the_threshold_of_each_pixel_is_found_on_a_ramp() -> None:
    """Mean and spread over 1024 pixels, which know sigma to 2 %; blind time and bandwidth do not disturb."""
    measured = thresholds(UNEVEN.with_(cutoff_hz=300.0, refractory_us=1000.0), pixels=1024)
    for number in measured.numbers.values():
        assert_close(number)
    for histogram in measured.curves.values():
        assert_agrees(histogram, least_error=1 / 1024)


# Speed


def test_latency_is_that_of_a_low_pass_that_sees_a_jump() -> None:
    """t = -tau ln(1 - 1/3) + 25 us with tau = (1000 / E) / (2 pi 300) + 1 / (2 pi 900), to 1 us and 0.1 %."""
    lux = (1.0, 30.0, 1000.0, 1e5)
    found = latency(SLOW.with_(latency_us=25.0), lux=lux, pixels=64).curves
    for polarity in ("ON", "OFF"):
        for level, measured_us in zip(lux, found[polarity].measured, strict=True):
            tau_us = 1e6 / (2 * math.pi) * (1000 / level / 300 + 1 / 900)
            assert measured_us == pytest.approx(tau_us * math.log(1.5) + 25, rel=1e-3, abs=1)


def test_median_latency_of_unlike_pixels() -> None:
    """Mismatch of thresholds and of bandwidth leaves the median where it was, within its error."""
    sensor = SLOW.with_(theta_sigma=0.03, cutoff_sigma=0.3, latency_us=25.0, jitter_us=10.0)
    for found in latency(sensor, lux=(10.0, 1000.0), pixels=1024).curves.values():
        assert_agrees(found)


def test_gain_falls_as_that_of_a_first_order_low_pass() -> None:
    """|H| = 1 / sqrt(1 + (f / fc)^2), to 2 % from far below to 10 times the bandwidth."""
    measured = frequency_response(SLOW, lux=(10.0,), pixels=512).curves["10 lux"]
    fc_hz = 1 / (1 / 3 + 1 / 900)
    gain = 1 / np.sqrt(1 + (measured.x / fc_hz) ** 2)
    np.testing.assert_allclose(measured.measured, gain / gain[0], rtol=0.02)
    assert gain[-1] < 0.11


def test_bandwidth_grows_with_light_up_to_its_maximum() -> None:
    """1 / fc = (1000 / E) / 300 + 1 / 900, to 3 %."""
    found = bandwidth(SLOW, lux=(10.0, 1000.0, 1e5), pixels=512).curves["bandwidth"].measured
    np.testing.assert_allclose(found, [1 / (1 / 3 + 1 / 900), 225.0, 1 / (1 / 3e4 + 1 / 900)], rtol=0.03)


def test_a_photoreceptor_without_limit_has_no_bandwidth() -> None:
    measured = bandwidth(IDEAL, lux=(1000.0,), pixels=64)
    assert measured.curves["bandwidth"].measured == math.inf
    assert "no limit" in measured.note


def test_a_photoreceptor_that_needs_more_than_a_day_is_not_waited_for() -> None:
    """0.01 Hz at 1000 lux and the fourth power of light: at 1 lux tau is half a million years."""
    asleep = Sensor(cutoff_hz=0.01, cutoff_light_exponent=4.0)
    assert latency(asleep, lux=(1.0,)).note == "a day is not enough for the photoreceptor to answer"
    assert bandwidth(asleep, lux=(1.0, 1000.0), pixels=64).curves["bandwidth"].x.tolist() == [1000.0]


def test_the_rate_of_a_pixel_saturates_at_one_event_a_blind_time() -> None:
    """1 / (T + theta / b), to 1 %; no interval is shorter than T, less the rounding of two stamps."""
    measured = refractory_ceiling(Sensor(refractory_us=400.0), pixels=16)
    rate = measured.curves["rate"]
    np.testing.assert_allclose(rate.measured, 1 / (400e-6 + 0.2 / rate.x), rtol=0.01)
    assert 2400 < rate.measured.max() <= 2500
    assert measured.numbers["shortest interval"].measured >= 399


# Background


NOISE = {
    "shot_noise_hz": 0.5,
    "shot_noise_on_share": 0.7,
    "shot_noise_light_exponent": 1.0,
    "shot_noise_sigma": 0.3,
}
LEAK = {"leak_hz": 0.5, "leak_light_share": 0.4, "leak_sigma": 0.3}


@pytest.mark.parametrize("source", [NOISE, LEAK])
def test_the_background_has_the_rates_asked_for_at_any_light(source: dict[str, float]) -> None:
    for found in noise_rates(Sensor(**source), lux=(1.0, 100.0, 1e4), pixels=512).curves.values():
        assert_agrees(found)


def test_shot_noise_is_a_poisson_process_and_leak_a_clock() -> None:
    """sd / mean of intervals is 1 for the one and 0 for the other; periods of leak spread as asked for."""
    sensor = Sensor(shot_noise_hz=2.0, leak_hz=0.1, leak_sigma=0.4, refractory_us=1000.0)
    measured = noise_intervals(sensor, pixels=512)
    assert measured.numbers["shot noise, P of the KS test"].measured > 0.01
    assert_close(measured.numbers["shot noise, sd / mean of intervals"])
    assert_close(measured.numbers["leak, sd of ln period over pixels"])
    assert measured.numbers["leak, sd / mean of intervals"].measured < 1e-6
    for histogram in measured.curves.values():
        assert_agrees(histogram, least_error=1 / 512)


def test_a_round_trip_of_light_has_on_and_off_events_in_the_ratio_of_the_thresholds() -> None:
    """ON theta_on = OFF theta_off, but for the last incomplete threshold of about 400."""
    sensor = Sensor(theta_on=0.2, theta_off=0.3, cutoff_hz=300.0, refractory_us=100.0)
    found = on_share(sensor, lux=(10.0, 1000.0), pixels=512).curves
    np.testing.assert_allclose(found["flicker"].measured, 0.6, atol=0.005)
    assert "still scene" not in found


def test_an_ideal_sensor_is_silent() -> None:
    measured = noise_rates(IDEAL, lux=(1000.0,), pixels=64)
    assert measured.note == "a still scene is silent"
    assert measured.curves["ON"].measured == measured.curves["OFF"].measured == 0
    assert noise_intervals(IDEAL).curves == {}


# Bus

ARBITER = Sensor(width=100, height=50, readout="row-arbiter", bus_mev_s=5.0, row_us=0.5)


@pytest.mark.parametrize("readout", ["row-arbiter", "row-scan"])
def test_the_bus_sends_what_it_gets_up_to_its_capacity(readout: str) -> None:
    """A row of 100 events takes 0.5 + 100 / 5 us: at most 4.88 Mev/s."""
    rate = bus_throughput(ARBITER.with_(readout=readout)).curves["rate"]
    below, above = rate.x < 0.8 * 4.878, rate.x > 1.3 * 4.878
    np.testing.assert_allclose(rate.measured[below], rate.x[below], rtol=0.02)
    np.testing.assert_allclose(rate.measured[above], 4.878, rtol=0.02)


@pytest.mark.parametrize("readout", ["row-arbiter", "row-scan"])
def test_events_wait_for_their_row_and_for_those_in_front_of_them(readout: str) -> None:
    """Nearly alone: for half a scan of 50 rows, 12.5 us, and 0.7 us of its own; an arbiter comes at once.

    At three times the capacity a round takes 5000 / 4.88 us, and a pixel fires after a sixth of it.
    """
    numbers = bus_delay(ARBITER.with_(readout=readout)).numbers
    alone_us = 13.2 if readout == "row-scan" else 0.7
    assert numbers["at 3 % load"].measured == pytest.approx(alone_us, abs=1)
    assert numbers["at 300 % load"].measured == pytest.approx(5000 / 4.878 * 5 / 6, rel=0.05)


def test_a_bus_that_drops_is_never_late() -> None:
    """Events that waited for 200 us are lost, and which ones is not known; the capacity stays what it is."""
    sensor = ARBITER.with_(bus_queue_us=200.0)
    rate = bus_throughput(sensor).curves["rate"]
    assert (rate.measured < 4.878 * 1.001).all()
    assert rate.measured[-1] < 0.9 * rate.x[-1]
    assert math.isnan(bus_delay(sensor).numbers["at 300 % load"].measured)


def test_without_a_bus_there_is_nothing_to_saturate() -> None:
    assert bus_throughput(IDEAL).note == bus_delay(IDEAL).note == "no bus: events leave at once"


# Records


def test_the_columns_of_a_curve_are_equally_long() -> None:
    column = np.zeros(3)
    with pytest.raises(InputError, match="shapes"):
        Curve(x=column, measured=column, error=column, theory=np.zeros(4))


def test_a_measurement_becomes_json_without_infinity() -> None:
    """JSON knows neither infinity nor NaN."""
    measured = Measurement(
        title="t", procedure="p", x_label="x", y_label="y",
        curves={"rate": curve([1.0, 2.0], [math.nan, 3.0], theory=math.inf)},
        numbers={"n": Number(measured=1.0, theory=-math.inf, unit="Hz")},
    )  # fmt: skip
    record = json.loads(json.dumps(measured.to_dict(), allow_nan=False))
    assert record["curves"]["rate"]["measured"] == [None, 3.0]
    assert record["curves"]["rate"]["theory"] == ["inf", "inf"]
    assert record["numbers"]["n"]["theory"] == "-inf"


def test_the_poster_has_a_panel_for_each_measurement_also_for_those_that_found_nothing(
    tmp_path: Path,
) -> None:
    found = {
        "thresholds": thresholds(IDEAL, pixels=64),
        "latency": latency(IDEAL, lux=(1.0, 1000.0), pixels=64),
        "bandwidth": bandwidth(IDEAL, lux=(1000.0,), pixels=64),
        "bus": bus_throughput(IDEAL),
        "rate": refractory_ceiling(IDEAL, pixels=2),
    }
    figure = poster(IDEAL, found, seed=0, illuminance_lux=1000.0)
    figure.savefig(tmp_path / "poster.png")
    assert len(figure.axes) == len(found)


def test_experiments_need_light() -> None:
    for lux in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ParameterError, match="illuminance"):
            experiments(IDEAL, illuminance_lux=lux)


# Command


@pytest.fixture
def few_experiments(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The command with two experiments that take no time."""

    def few(sensor: Sensor, **here: float) -> dict:
        everything = experiments(sensor, **here)
        return {name: everything[name] for name in ("thresholds", "bus_delay")}

    monkeypatch.setattr(importlib.import_module("dvs.characterise.__main__"), "experiments", few)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.usefixtures("few_experiments")
def test_the_command_writes_one_picture_and_one_file_of_numbers(tmp_path: Path) -> None:
    result = run("--sensor", "davis346", "--set", "theta_on=0.3", "--seed", "3", "--output", tmp_path / "new")
    assert result.exit_code == 0
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "davis346-characterisation.json",
        "davis346-characterisation.png",
    ]
    record = json.loads((tmp_path / "new" / "davis346-characterisation.json").read_text())
    assert (record["seed"], record["sensor"]["theta_on"]) == (3, 0.3)
    assert record["measurements"]["thresholds"]["numbers"]["ON threshold"]["theory"] == 0.3
    assert "ON threshold" in result.output


@pytest.mark.usefixtures("few_experiments")
def test_files_may_have_names_of_their_own_and_the_command_can_be_quiet(tmp_path: Path) -> None:
    result = run(
        "--sensor", "ideal", "--json", tmp_path / "a.json", "--picture", tmp_path / "b.svg", "--quiet"
    )  # fmt: skip
    assert (result.exit_code, result.output) == (0, "")
    assert (tmp_path / "b.svg").read_text().startswith("<?xml")
    assert json.loads((tmp_path / "a.json").read_text())["sensor"]["cutoff_hz"] == "inf"


@pytest.mark.usefixtures("few_experiments")
def test_a_file_that_exists_is_not_harmed(tmp_path: Path) -> None:
    """Nor is a half of the pair written: the other file does not appear."""
    there = tmp_path / "ideal-characterisation.png"
    there.write_text("mine")
    arguments = ("--sensor", "ideal", "--output", tmp_path, "--quiet")
    result = run(*arguments)
    assert result.exit_code == 2
    assert there.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [there]
    assert run(*arguments, "--overwrite").exit_code == 0
    assert there.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--sensor", "davis364"], "davis346"),
        (["--sensor", "ideal", "--set", "theta_no=1"], "theta_on"),
        (["--sensor", "ideal", "--set", "theta_on"], "FIELD=VALUE"),
        (["--sensor", "ideal", "--set", "theta_on=high"], "theta_on"),
        (["--sensor", "ideal", "--illuminance", "0"], "illuminance"),
        (["--sensor", "ideal", "--seed", "-1"], "seed"),
        (["--sensor", "ideal", "--picture", "a.bmp"], ".png"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments, "--quiet")
    assert result.exit_code == 2
    assert said in result.output
    assert result.output.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_help_teaches() -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert "python -m dvs.characterise --sensor davis346" in result.output
    assert "imx636" in result.output
