"""`convert-events`: any file of events into any other, whole or in part."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import dvs
from dvs.convert_events import main
from dvs.errors import InputError, ParameterError
from dvs.event_conversion import EventConversion, convert_events


def recording(count=2000, width=40, height=30, seed=0):
    rng = np.random.default_rng(seed)
    t_us = np.sort(rng.integers(5_000_000, 5_100_000, count))
    events = dvs.make_events(
        rng.integers(0, width, count), rng.integers(0, height, count), t_us, rng.integers(0, 2, count)
    )
    return dvs.Recording(
        events=events, width=width, height=height, start_us=5_000_000, stop_us=5_100_000, provenance={"program": "test"}
    )


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.h5"
    dvs.write(path, recording())
    return path


def converted(source, **options):
    """The events that come out, and what is said of them."""
    target = source.with_name("target.h5")
    result = convert_events(EventConversion(source=source, outputs=((target, None),), overwrite=True, **options))
    return dvs.read(target), result


def test_all_of_it_stays_as_it_was(source):
    got, result = converted(source)
    whole = recording()
    assert (got.events == whole.events).all()
    assert (got.width, got.height, got.start_us, got.stop_us) == (40, 30, 5_000_000, 5_100_000)
    assert (result.events_in, result.events_out) == (2000, 2000)
    assert got.provenance["program"] == "test"
    assert got.provenance["converted"][0]["source"] == "source.h5"


def test_a_part_of_time_is_counted_from_the_beginning_and_may_begin_at_zero(source):
    """From 20 to 50 ms of a recording that begins at 5 s; ends belong to it."""
    t_us = recording().events["t"]
    kept = t_us[(t_us >= 5_020_000) & (t_us <= 5_050_000)]
    got, _ = converted(source, start_s=0.02, stop_s=0.05)
    assert got.events["t"].tolist() == kept.tolist()
    assert (got.start_us, got.stop_us) == (5_020_000, 5_050_000)
    rebased, _ = converted(source, start_s=0.02, stop_s=0.05, rebase=True)
    assert rebased.events["t"].tolist() == (kept - 5_020_000).tolist()
    assert (rebased.start_us, rebased.stop_us) == (0, 30_000)


def test_a_crop_moves_the_origin(source):
    whole = recording().events
    inside = (whole["x"] >= 5) & (whole["x"] < 30) & (whole["y"] >= 1) & (whole["y"] < 28)
    got, _ = converted(source, crop=(5, 10, 1, 2))
    assert (got.width, got.height) == (25, 27)
    assert got.events["x"].tolist() == (whole["x"][inside] - 5).tolist()
    assert got.events["y"].tolist() == (whole["y"][inside] - 1).tolist()


def test_pixels_are_joined_without_losing_an_event(source):
    """40x30 by 4: 10 columns, and 8 rows, the last of them of two."""
    got, _ = converted(source, downsample=4)
    assert (got.width, got.height, len(got)) == (10, 8, 2000)
    assert got.events["y"].tolist() == (recording().events["y"] // 4).tolist()


def test_one_polarity_alone(source):
    got, _ = converted(source, polarity=1)
    assert len(got) == (recording().events["p"] == 1).sum()
    assert (got.events["p"] == 1).all()


def test_a_pixel_that_fires_by_itself_is_dropped(tmp_path):
    """A pixel with 3000 events among 1200 with one or two each."""
    hot = dvs.make_events(np.full(3000, 7), np.full(3000, 9), 5_000_000 + 33 * np.arange(3000), np.ones(3000, int))
    quiet = recording()
    events = np.sort(np.concatenate([quiet.events, hot]), order="t", kind="stable")
    path = tmp_path / "source.h5"
    dvs.write(path, dvs.Recording(events=events, width=40, height=30, start_us=5_000_000, stop_us=5_100_000))
    got, _ = converted(path, hot_pixels=True)
    assert not ((got.events["x"] == 7) & (got.events["y"] == 9)).any()
    assert len(got) >= 2000 - 10


def test_dead_time_and_neighbours_thin_out(source):
    """A pixel has about 1.7 events in 100 ms: a dead time of a second leaves one event for each pixel that fired."""
    whole = recording().events
    once, _ = converted(source, refractory_us=1e6)
    assert len(once) == len(np.unique(whole["y"].astype(int) * 40 + whole["x"]))
    confirmed, _ = converted(source, denoise_us=2000)
    assert 0 < len(confirmed) < 2000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start_s": 0.2}, "the part from 0.2 s to 0.1 s is asked of a recording of 0.1 s"),
        ({"stop_s": 3.0}, "the part from 0 s to 3 s is asked"),
        ({"crop": (20, 20, 0, 0)}, "a crop of 20,20,0,0 leaves nothing of 40x30 pixels"),
        ({"downsample": 0}, "downsample is 0"),
    ],
)
def test_what_cannot_be_cut_is_said(source, options, message):
    with pytest.raises((InputError, ParameterError), match=message):
        converted(source, **options)


def run(*arguments):
    return CliRunner().invoke(main, [str(each) for each in arguments])


def test_without_an_output_the_file_is_described(source):
    done = run(source)
    assert done.exit_code == 0, done.output
    for word in ("40x30", "2,000", "from 5.000000 s to 5.100000 s", "dsec"):
        assert word in done.output
    record = json.loads(run(source, "--json").output)
    assert (record["events"], record["width"], record["start_us"]) == (2000, 40, 5_000_000)


def test_the_command_writes_what_it_says(source, tmp_path):
    done = run(source, "-o", tmp_path / "a.npz", "-o", tmp_path / "b.csv", "--start", "0.02", "--json")
    assert done.exit_code == 0, done.output
    assert "does not hold the sensor size, the watched span, where the events come from" in done.stderr
    record = json.loads(done.stdout)
    assert record["events_out"] == len(dvs.read(tmp_path / "a.npz")) == len(dvs.read(tmp_path / "b.csv"))


def test_an_existing_file_is_never_harmed(source, tmp_path):
    (tmp_path / "a.npz").write_text("precious")
    done = run(source, "-o", tmp_path / "a.npz")
    assert done.exit_code == 2
    assert "exists" in done.stderr
    assert (tmp_path / "a.npz").read_text() == "precious"
    assert run(source, "-o", tmp_path / "a.npz", "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no SOURCE is given"),
        (["nowhere.h5"], "nowhere.h5 cannot be opened"),
        (["{source}", "-o", "x.jpg"], "x.jpg has no known suffix"),
        (["{source}", "--crop", "1,2"], "are not four margins"),
    ],
)
def test_errors_are_one_line(source, arguments, message):
    done = run(*[each.format(source=source) for each in arguments])
    assert done.exit_code == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_formats_are_listed():
    done = run("--formats")
    assert done.exit_code == 0
    assert "dsec" in done.output
    assert ".npz" in done.output


@pytest.mark.parametrize("option", [["--start", "0.01"], ["--denoise", "1000"], ["--rebase"], ["--downsample", "2"]])
def test_a_change_without_a_file_for_it_is_refused(source, option):
    """It would describe what is in the whole file, and not say so."""
    result = CliRunner().invoke(main, [str(source), *option])
    assert result.exit_code == 2
    assert f"{option[0]} changes events; give a file for them: -o FILE" in result.output


def test_an_output_that_is_named_twice_is_refused(source, tmp_path):
    target = tmp_path / "a.h5"
    with pytest.raises(ParameterError, match=r"a\.h5 is named twice"):
        convert_events(EventConversion(source=source, outputs=((target, None), (target, "npz"))))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source.h5"]


@pytest.mark.filterwarnings("default:the rest is lost")
def test_what_is_lost_at_damage_is_one_line(tmp_path):
    """Not Python's warning with a line of source."""
    path = tmp_path / "cut.csv"
    path.write_text("t,x,y,p\n1,2,3,0\n2,2,3,1\n3,2")
    result = CliRunner().invoke(main, [str(path), "--keep-good", "-o", str(tmp_path / "kept.h5")])
    assert result.exit_code == 0
    assert result.output.count("convert-events: warning: the rest is lost: ") == 1
    assert len(dvs.read(tmp_path / "kept.h5")) == 2


def test_a_sensor_that_a_file_does_not_name_can_be_given(tmp_path):
    """Else it ends at the outermost event, which is said."""
    path, target = tmp_path / "bare.csv", tmp_path / "sized.h5"
    path.write_text("t,x,y,p\n1,2,3,0\n2,20,3,1\n")
    said = CliRunner().invoke(main, [str(path)]).output
    assert "21x4" in said
    assert "up to the outermost event, as the file names no sensor" in said
    assert json.loads(CliRunner().invoke(main, [str(path), "--json"]).output)["size_is_stated"] is False
    result = CliRunner().invoke(main, [str(path), "-o", str(target), "--size", "346x260"])
    assert result.exit_code == 0, result.output
    assert (dvs.read(target).width, dvs.read(target).height) == (346, 260)
    small = CliRunner().invoke(main, [str(path), "-o", str(tmp_path / "b.h5"), "--size", "10x10"])
    assert small.exit_code == 2
    assert "outside the 10x10 sensor" in small.output
