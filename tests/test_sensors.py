"""Sensors: every number has a source, and no record can ask for what no pixel can do."""

import json
import math
from dataclasses import fields

import numpy as np
import pytest

from dvs.errors import ParameterError
from dvs.sensors import Sensor, Source, describe, load_sensor, sensor_names

PRESETS = (
    "custom", "davis240c", "davis346", "dvs128", "dvxplorer",
    "genx320", "ideal", "imx636", "prophesee-gen3.1", "samsung-gen2",
)  # fmt: skip


def toml(tmp_path, text, name="mine.toml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_the_presets_are_the_promised_ones():
    assert sensor_names() == PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_every_number_of_a_preset_has_a_source(name):
    """A number is either unknown (None, or the size of the video) or says where it comes from."""
    preset = load_sensor(name)
    assert preset.name == name
    for each in fields(Sensor):
        if each.name in ("name", "sources") or getattr(preset, each.name) is None:
            continue
        assert preset.sources[each.name].source, each.name
        assert preset.sources[each.name].unit == each.metadata["unit"]


@pytest.mark.parametrize("name", PRESETS)
def test_a_number_from_memory_is_an_estimate(name):
    for key, source in load_sensor(name).sources.items():
        assert source.estimate or "memory" not in source.source, key


def test_the_defaults_are_the_ideal_sensor():
    """The ideal preset and `Sensor()` differ in the name and in that one states its sources."""
    assert load_sensor("ideal").to_dict() | {"name": "custom", "sources": {}} == Sensor().to_dict()


def test_an_ideal_sensor_has_no_noise_and_no_limit():
    ideal = load_sensor("ideal")
    nothing = (
        "theta_sigma",
        "refractory_us",
        "leak_hz",
        "shot_noise_hz",
        "hot_pixel_hz",
        "latency_us",
        "jitter_us",
    )
    assert all(getattr(ideal, name) == 0 for name in nothing)
    assert ideal.cutoff_hz == ideal.cutoff_max_hz == ideal.bus_mev_s == ideal.bus_queue_us == math.inf
    assert ideal.readout == "none"
    assert ideal.width is None


def test_the_bandwidth_of_the_dvs128_is_the_published_3_khz():
    """At the reference light tau is the sum of both parts: 1 / cutoff = 1 / 6000 + 1 / 6000 = 1 / 3000."""
    dvs128 = load_sensor("dvs128")
    assert 1 / (1 / dvs128.cutoff_hz + 1 / dvs128.cutoff_max_hz) == pytest.approx(3000)


def test_shot_noise_falls_with_light_as_recorded():
    """Recorded were 13 Hz at 0.1 lux and 0.2 % of pixels at 0.1 Hz OFF, 2e-4 Hz OFF, at 161 lux."""
    dvs128 = load_sensor("dvs128")

    def rate_hz(lux):
        return dvs128.shot_noise_hz * (dvs128.reference_lux / lux) ** dvs128.shot_noise_light_exponent

    assert rate_hz(0.1) == pytest.approx(13, rel=0.05)
    assert rate_hz(161) * (1 - dvs128.shot_noise_on_share) == pytest.approx(2e-4, rel=0.3)


def test_a_name_may_be_written_in_capitals_or_with_underscores():
    assert load_sensor("DAVIS346") == load_sensor("davis346")
    assert load_sensor("samsung_gen2") == load_sensor("samsung-gen2")


def test_a_wrong_name_gets_the_nearest_and_the_list():
    with pytest.raises(ParameterError, match=r"davis364.*did you mean 'davis346'.*genx320, ideal"):
        load_sensor("davis364")


def test_the_dictionary_loses_nothing():
    """Through JSON and back, also for numbers that decimal text cannot hold and for infinity."""
    odd = load_sensor("davis346").with_(
        theta_on=0.1 + 0.2, cutoff_hz=math.inf, leak_hz=np.float32(0.1), width=np.int16(9)
    )
    text = json.dumps(odd.to_dict(), allow_nan=False)
    assert Sensor.from_dict(json.loads(text)) == odd


def test_a_sensor_can_be_a_key():
    assert len({load_sensor("davis346"), load_sensor("davis346"), load_sensor("imx636")}) == 2


def test_changing_a_number_changes_its_source():
    """A number of the user's must not be shown under the name of a paper."""
    changed = load_sensor("imx636").with_(theta_on=0.4)
    assert changed.theta_on == 0.4
    assert changed.sources["theta_on"] == Source(unit="ln", source="set by the user")
    assert changed.sources["theta_off"] == load_sensor("imx636").sources["theta_off"]


def test_changing_an_unknown_field_names_the_nearest():
    with pytest.raises(ParameterError, match=r"'theta_onn' \(did you mean 'theta_on'\?\)"):
        Sensor().with_(theta_onn=0.4)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("theta_on", 0.0), ("theta_off", -0.2), ("theta_on", 6.0), ("theta_on", math.nan),
        ("theta_on", "0.2"), ("theta_on", True), ("theta_on", None), ("theta_sigma", -0.01),
        ("cutoff_hz", 0.0), ("cutoff_max_hz", -1.0), ("cutoff_light_exponent", -1.0), ("cutoff_sigma", -0.1),
        ("refractory_us", math.inf), ("leak_hz", -1.0), ("shot_noise_sigma", -1.0),
        ("leak_light_share", 1.1), ("shot_noise_hz", math.inf), ("shot_noise_on_share", -0.1),
        ("hot_pixel_fraction", 2.0), ("reference_lux", 0.0), ("bus_mev_s", 0.0), ("row_us", -1.0),
        ("latency_us", -1.0), ("jitter_us", 1e9), ("width", 0), ("width", 40_000), ("height", 2.5),
        ("static_mw", -1.0),
    ],
)  # fmt: skip
def test_a_number_out_of_its_range_is_refused(field, value):
    with pytest.raises(ParameterError, match=field):
        Sensor(**{field: value})


def test_an_unknown_readout_is_refused():
    with pytest.raises(ParameterError, match="'column', expected one of none, row-arbiter, row-scan"):
        Sensor(readout="column")


def test_thresholds_must_stay_positive_in_nearly_all_pixels():
    with pytest.raises(ParameterError, match="theta_sigma"):
        Sensor(theta_on=0.2, theta_off=0.1, theta_sigma=0.06)


@pytest.mark.parametrize(
    "noise", [{"leak_hz": 10.0}, {"shot_noise_hz": 12.0}, {"hot_pixel_hz": 50.0, "hot_pixel_fraction": 0.1}]
)
def test_a_pixel_cannot_fire_faster_than_its_refractory_time(noise):
    """Blind for 0.1 s after each event, it makes fewer than 10 a second."""
    with pytest.raises(ParameterError, match="at most 10"):
        Sensor(refractory_us=1e5, **noise)


def test_a_file_of_bare_numbers_starts_from_its_base(tmp_path):
    path = toml(tmp_path, 'base = "davis346"\ntheta_on = 0.33\nbus_mev_s = inf\n')
    mine = load_sensor(path)
    assert (mine.name, mine.theta_on, mine.bus_mev_s, mine.width) == ("mine", 0.33, math.inf, 346)
    assert mine.sources["theta_on"] == Source(unit="ln", source="set in mine.toml")
    assert load_sensor(str(path)) == mine


def test_a_file_without_a_base_starts_from_the_ideal(tmp_path):
    mine = load_sensor(
        toml(tmp_path, 'name = "toy"\nwidth = 32\n[leak_hz]\nvalue = 1\nsource = "bench"\nestimate = true\n')
    )
    assert mine.to_dict() | {"sources": {}} == Sensor(name="toy", width=32, leak_hz=1.0).to_dict()
    assert mine.sources["leak_hz"] == Source(unit="Hz", source="bench", estimate=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("theta_on = ", "not valid TOML"),
        ("theta_onn = 0.3", "unknown key 'theta_onn' .did you mean 'theta_on'"),
        ("theta_on = -1", "theta_on = -1 ln is outside"),
        ("theta_on = 'high'", "theta_on is 'high'"),
        ("theta_on = [0.2, 0.3]", "theta_on is"),
        ("[theta_on]\nunit = 'ln'", "theta_on. has no value"),
        ("[theta_on]\nvalue = 0.2\nunit = '%'", "unit '%', expected 'ln'"),
        ("[theta_on]\nvalue = 0.2\norigin = 'x'", "unknown key 'origin'"),
        ("[theta_on]\nvalue = 0.2\nestimate = 'no'", "expected true or false"),
        ("base = 'davis34'", "davis34.*did you mean"),
        ("readout = 3", "readout is 3"),
    ],
)
def test_an_error_in_a_file_names_file_and_key(tmp_path, text, said):
    with pytest.raises(ParameterError, match=rf"mine\.toml.*{said}"):
        load_sensor(toml(tmp_path, text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ParameterError, match=r"cannot read the sensor file .*nowhere\.toml"):
        load_sensor(tmp_path / "nowhere.toml")


def test_errors_are_one_line(tmp_path):
    for culprit in ("nonsense", toml(tmp_path, "theta_on = -1")):
        with pytest.raises(ParameterError) as caught:
            load_sensor(culprit)
        assert "\n" not in str(caught.value)


def test_the_description_shows_numbers_sources_and_estimates():
    lines = describe(load_sensor("davis240c")).splitlines()
    (theta_on,) = (line for line in lines if line.startswith("theta_on "))
    (theta_off,) = (line for line in lines if line.startswith("theta_off "))
    assert theta_on.split()[1:3] == ["0.226", "ln"]
    assert "DVS-Voltmeter" in theta_on
    assert theta_off.split()[1:4] == ["~", "0.226", "ln"]
    assert max(map(len, lines)) <= 100


def test_the_description_says_what_is_unknown():
    words = [line.split() for line in describe(load_sensor("ideal")).splitlines()]
    assert ["width", "any", "px", "as", "the", "video"] in words
    assert ["static_mw", "unknown", "mW", "not", "published"] in words
