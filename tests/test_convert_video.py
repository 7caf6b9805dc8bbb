"""The command convert-video: every source, every output, and whatever can be wrong with them."""

import json
import resource
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from dvs import conversion
from dvs.conversion import Conversion, Output, prepare, run
from dvs.convert_video import main
from dvs.errors import InputError, ParameterError
from dvs.events import check_events
from dvs.files import read
from dvs.frames import Frames
from dvs.luminance import Encoding
from dvs.sensors import load_sensor

FPS = 50
COMMAND = [sys.executable, "-m", "dvs.convert_video"]


def bar(count=12, width=48, height=32):
    """A bright bar that moves by one pixel a frame, uint8 (T, H, W)."""
    frames = np.full((count, height, width), 60, np.uint8)
    for number in range(count):
        frames[number, :, number : number + max(width // 6, 1)] = 200
    return frames


def write_video(path, frames, times=None):
    """A lossless video with a frame at each of the times (multiples of 1 / FPS)."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", rate=FPS)
        stream.height, stream.width = frames.shape[1:]
        stream.pix_fmt = "gray"
        stream.time_base = stream.codec_context.time_base = Fraction(1, FPS)
        for number, codes in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(codes, format="gray")
            frame.pts, frame.time_base = number if times is None else times[number], Fraction(1, FPS)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder with the video bar.mkv in it."""
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "bar.mkv", bar())
    return tmp_path


def convert(*arguments, code=0):
    """Run the command in this process."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def refused(*arguments):
    """The one line with which the command refuses to work; it leaves the folder as it was."""
    before = contents(Path())
    result = convert(*arguments, code=2)
    assert result.stdout == ""
    assert result.stderr.startswith("convert-video: ")
    assert result.stderr.count("\n") == 1
    assert contents(Path()) == before
    return result.stderr


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# The main job


def test_a_video_becomes_a_file_of_events_beside_it_in_name(here):
    result = convert("bar.mkv")
    recording = read("bar.h5")
    assert (recording.width, recording.height) == (48, 32)
    assert len(recording) > 0
    # 12 frames are 11 intervals of 1/50 s.
    assert (recording.start_us, recording.stop_us) == (0, 220_000)
    assert f"{len(recording):,}" in result.stdout
    assert "bar.h5" in result.stdout
    assert sorted(path.name for path in here.iterdir()) == ["bar.h5", "bar.mkv"]


def test_a_real_video_becomes_events_preview_and_report_at_once(tmp_path, shared_data):
    video = shared_data / "videos" / "carphone_pristine.mp4"
    outputs = [tmp_path / name for name in ("events.npz", "events.csv", "film.gif", "page.html")]
    arguments = ["-o", outputs[0], "-o", outputs[1], "--preview", outputs[2], "--report", outputs[3]]
    done = subprocess.run(
        [*COMMAND, video, *arguments, "--stop", "1", "--json"], capture_output=True, text=True, check=True
    )
    summary = json.loads(done.stdout)
    recording = read(outputs[0])
    assert summary["events"] == len(recording) == outputs[1].read_text().count("\n") - 1
    assert [file["path"] for file in summary["files"]] == [str(path) for path in outputs]
    assert [file["bytes"] for file in summary["files"]] == [path.stat().st_size for path in outputs]
    assert b"carphone_pristine.mp4" in outputs[3].read_bytes()
    with av.open(str(outputs[2])) as film:
        # 30 frames at 29.97 Hz, of which the last is at 0.97 s: 25 pictures a second.
        assert sum(1 for _ in film.decode(video=0)) == 25


def test_the_events_are_those_of_the_function(here):
    """A command is a door, not a second emulator."""
    from dvs.emulator import emulate
    from dvs.video import open_video

    convert("bar.mkv", "-o", "bar.npz", "--seed", "7", "--sensor", "davis346", "--size", "native")
    sensor = load_sensor("davis346").with_(width=None, height=None)
    expected = emulate(open_video("bar.mkv"), sensor, seed=7)
    np.testing.assert_array_equal(read("bar.npz").events, expected.events)


def test_provenance_names_source_seed_and_every_parameter(here):
    from hashlib import sha256

    convert("bar.mkv", "--seed", "5", "--theta-on", "0.3", "--stop", "0.2")
    provenance = read("bar.h5").provenance
    assert provenance["source_sha256"] == sha256(Path("bar.mkv").read_bytes()).hexdigest()
    assert (provenance["seed"], provenance["sensor"]["theta_on"], provenance["stop_s"]) == (5, 0.3, 0.2)
    assert provenance["frames"] == 10
    assert provenance["partial"] is False


def test_the_same_seed_makes_the_same_bytes_on_any_number_of_threads(here):
    for name, seed, threads in (("a.h5", 1, 1), ("b.h5", 1, 3), ("c.h5", 2, 1)):
        convert("bar.mkv", "-o", name, "--seed", seed, "--threads", threads)
    assert Path("a.h5").read_bytes() == Path("b.h5").read_bytes()
    assert Path("a.h5").read_bytes() != Path("c.h5").read_bytes()


# Sources


def test_every_kind_of_source_makes_the_same_events(here):
    """The same codes at the same times, from a video, a pipe, a folder, and a stack."""
    frames = bar()
    np.save("stack.npy", frames)
    np.savez("stack.npz", frames=frames, times_us=np.arange(12) * 20_000)
    Path("folder").mkdir()
    Path("timed").mkdir()
    for number, frame in enumerate(frames):
        for folder in ("folder", "timed"):
            assert cv2.imwrite(f"{folder}/{number}.png", frame)
    Path("times.txt").write_text("".join(f"{number * 20_000}\n" for number in range(12)))
    convert("bar.mkv", "-o", "0.npz")
    convert("stack.npy", "--fps", FPS, "-o", "1.npz")
    convert("stack.npz", "-o", "2.npz")
    convert("folder", "--fps", FPS, "-o", "3.npz")
    convert("timed", "--timestamps", "times.txt", "-o", "4.npz")
    pipe = Path("bar.mkv").read_bytes()
    subprocess.run([*COMMAND, "-", "-o", "5.npz", "--quiet"], input=pipe, check=True)
    expected = read("0.npz").events
    for number in range(1, 6):
        np.testing.assert_array_equal(read(f"{number}.npz").events, expected)


def test_a_gif_is_a_video(here):
    convert("bar.mkv", "--preview", "bar.gif")
    assert convert("bar.gif", "-o", "again.h5").exit_code == 0


def test_frames_at_uneven_times_are_used_at_their_times(here):
    times = [0, 1, 2, 5, 6, 20]
    write_video("uneven.mkv", bar(6), times)
    convert("uneven.mkv", "--sensor", "ideal")
    assert read("uneven.h5").stop_us == 20 * 1_000_000 // FPS


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 9), (9, 1), (7, 5)])
def test_odd_and_tiny_frames_work_with_all_outputs(here, width, height):
    np.save("tiny.npy", bar(6, width, height))
    convert("tiny.npy", "--fps", 100, "--preview", "tiny.mp4", "--report", "tiny.html")
    assert (read("tiny.h5").width, read("tiny.h5").height) == (width, height)
    convert("tiny.npy", "--fps", 100, "--interpolate", "flow", "-o", "flow.h5")


def test_slow_motion_divides_the_times(here):
    convert("bar.mkv", "--slow-motion", 4)
    assert read("bar.h5").stop_us == 220_000 / 4


class Camera:
    """A webcam in place of `open_video` that delivers bars until it is unplugged."""

    def __init__(self, frames=10**6):
        self.frames = frames

    def __call__(self, source, **options):
        assert source == 0

        def read():
            picture = bar(1)[0]
            for number in range(self.frames):
                yield number * 1e4, np.roll(picture, number, axis=1)
            raise InputError("webcam 0 stopped delivering frames; check the cable and other programs")

        return Frames(width=48, height=32, encoding=Encoding(), read=read, name="webcam 0")


def test_ctrl_c_is_the_normal_end_of_a_webcam(here, monkeypatch):
    monkeypatch.setattr(conversion, "open_video", Camera())
    plan = prepare(Conversion(source="0", outputs=(Output(path=Path("cam.h5")),)))
    batches = []
    result = run(plan, progress=batches.append, stopped=lambda: len(batches) > 5)
    assert not result.partial
    assert result.events == len(read("cam.h5")) > 0
    # Nobody waits for a whole chunk: each frame makes its events.
    assert [progress.frames for progress in batches[:3]] == [2, 3, 4] or batches[0].frames < 5


def test_a_webcam_that_is_unplugged_keeps_what_it_saw(here, monkeypatch):
    monkeypatch.setattr(conversion, "open_video", Camera(frames=20))
    result = convert("0", "--json")
    summary = json.loads(result.stdout)
    assert summary["frames"] == 20
    assert "stopped delivering frames" in summary["warnings"][0]
    assert "stopped delivering frames" in result.stderr
    assert read("webcam0.h5").stop_us == 190_000


# From the frames to the sensor


def test_frames_are_cut_to_the_aspect_of_the_sensor_and_resized(here):
    """48x32 to the aspect of 20x20 is the central 32x32."""
    result = convert("bar.mkv", "--size", "20x20")
    assert "48x32 frames are cut to their central 32x32, reduced to the 20x20 of the sensor" in result.stderr
    assert (read("bar.h5").width, read("bar.h5").height) == (20, 20)


def test_a_preset_has_the_size_of_its_sensor_and_native_that_of_the_video(here):
    assert "enlarged" in convert("bar.mkv", "--sensor", "dvs128").stderr
    assert read("bar.h5").width == 128
    convert("bar.mkv", "--sensor", "dvs128", "--size", "native", "--overwrite")
    assert read("bar.h5").width == 48


def test_crop_cuts_left_right_top_and_bottom(here):
    """Columns 8 to 43 and rows 2 to 28 are left: 36 wide, 27 high."""
    convert("bar.mkv", "--crop", "8,4,2,3")
    assert (read("bar.h5").width, read("bar.h5").height) == (36, 27)
    plan = prepare(Conversion(source="bar.mkv", outputs=(), crop=(8, 4, 2, 3)))
    np.testing.assert_array_equal(next(iter(plan.frames))[1], bar()[0, 2:29, 8:44])


def test_fast_motion_is_warned_of_unless_frames_are_made_between(here):
    """Texture that jumps 6 pixels a frame; with flow no step is larger than one."""
    texture = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (64, 200)).astype(np.uint8), (0, 0), 3)
    texture = cv2.normalize(texture, None, 30, 220, cv2.NORM_MINMAX)
    np.save("fast.npy", np.stack([texture[:, k : k + 96] for k in range(0, 60, 6)]))
    assert "--interpolate flow" in convert("fast.npy", "--fps", 30).stderr
    assert "--interpolate flow" not in convert("fast.npy", "--fps", 30, "--interpolate", "flow", "--overwrite").stderr
    assert "--interpolate flow" not in convert("bar.mkv").stderr


def test_a_bus_that_is_too_slow_is_warned_of(here):
    """A bus of 1000 events a second under a scene that makes more, and no patience."""
    slow = ["--set", "readout=row-arbiter", "--set", "bus_mev_s=0.001", "--set", "bus_queue_us=1000"]
    result = convert("bar.mkv", *slow, "--json")
    assert json.loads(result.stdout)["dropped"] > 0
    assert "the bus of the sensor lost" in result.stderr


# What is wrong with the source


def test_a_source_that_is_missing_or_no_video_is_refused(here):
    Path("text.mp4").write_text("no video")
    Path("empty.mp4").touch()
    Path("empty").mkdir()
    assert "does not exist" in refused("missing.mp4")
    for name in ("text.mp4", "empty.mp4"):
        assert "not a complete video" in refused(name)
    assert "holds no images" in refused("empty")
    assert "no SOURCE" in refused()


def test_a_video_needs_two_frames(here):
    write_video("one.mkv", bar(1))
    np.save("none.npy", bar(1)[:0])
    assert "at least 2" in refused("one.mkv")
    refused("none.npy", "--fps", 30)
    assert "at least 2" in refused("bar.mkv", "--start", "100")


def test_a_truncated_video_names_the_part_that_can_be_used(here):
    whole = write_video(here / "long.mkv", bar(40)).read_bytes()
    Path("cut.mkv").write_bytes(whole[: len(whole) // 2])
    line = refused("cut.mkv", "--preview", "film.mp4", "--report", "page.html")
    assert "breaks off" in line
    advice = line[line.index("--stop") :].split()[:2]
    convert("cut.mkv", *advice)


def test_times_that_do_not_rise_are_refused(here):
    np.save("stack.npy", bar(3))
    Path("times.txt").write_text("0\n20000\n10000\n")
    assert "expected finite times that rise" in refused("stack.npy", "--timestamps", "times.txt")


def test_frames_that_are_not_finite_or_negative_are_refused(here):
    for value in (np.nan, np.inf, -0.1):
        frames = np.full((3, 4, 5), 0.5)
        frames[2, 1, 1] = value
        np.save("stack.npy", frames)
        assert "frame 2" in refused("stack.npy", "--fps", 30)


# What is wrong with the options


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sensor", "davis364"], "did you mean 'davis346'"),
        (["--sensor", "missing.toml"], "cannot read the sensor file"),
        (["--theta-on", "nan"], "theta_on = nan ln is outside"),
        (["--theta-off", "-0.2"], "theta_off = -0.2 ln is outside"),
        (["--theta-on", "high"], "'--theta-on': 'high' is not a valid float"),
        (["--theta-sigma", "0.19"], "more than half the threshold"),
        (["--cutoff-hz", "-3"], "cutoff_hz = -3 Hz is outside"),
        (["--leak-hz", "1e9"], "leak_hz = 1e+09 Hz is outside"),
        (["--shot-noise-hz", "inf"], "shot_noise_hz = inf Hz is outside"),
        (["--refractory-us", "1e9"], "refractory_us = 1e+09 us is outside"),
        (["--set", "hot_pixel_hz"], "--set hot_pixel_hz gives no value"),
        (["--set", "hot_pixle_hz=1"], "did you mean 'hot_pixel_hz'"),
        (["--set", "readout=slowly"], "readout is 'slowly', expected one of"),
        (["--size", "wide"], "'wide' is no size"),
        (["--size", "0x10"], "width = 0 px is outside"),
        (["--size", "32767x32767"], "GB of memory"),
        (["--size", "99999x2"], "width = 99999 px is outside"),
        (["--crop", "1,2,3"], "'1,2,3' are not four margins"),
        (["--crop", "40,40,0,0"], "give numbers from 0 up that leave something"),
        (["--start", "nan"], "expected 0 <= start < stop"),
        (["--start", "2", "--stop", "1"], "expected 0 <= start < stop"),
        (["--fps", "0"], "fps is 0.0, expected a number above 0"),
        (["--fps", "1e-9"], "has frames 1e+09 s apart, expected at most 100"),
        (["--fps", "1e-320"], "expected at most 100"),
        (["--slow-motion", "-1"], "slow_motion is -1.0, expected a number above 0"),
        (["--illuminance", "nan"], "illuminance_lux is nan"),
        (["--dark-offset", "0"], "dark_offset is 0.0"),
        (["--transfer", "rec709"], "expected one of srgb, bt709"),
        (["--interpolate", "magic"], "interpolation is 'magic', expected one of none, flow"),
        (["--timestamps", "t.txt"], "use fps here"),
        (["--seed", "-1"], "seed is -1"),
        (["--threads", "0"], "0 is not in the range"),
        (["--format", "hdf"], "format is 'hdf', expected one of dsec"),
        (["-o", "bar.avi"], "bar.avi has no known suffix"),
        (["-o", "missing/bar.h5"], "missing/bar.h5 cannot be written"),
        (["-o", "bar.mkv/bar.h5"], "bar.mkv/bar.h5 cannot be written"),
        (["-o", f"{'x' * 300}.h5"], "File name too long"),
        (["-o", "a.h5", "-o", "./a.h5"], "a.h5 is named twice"),
        (["--preview", "film.avi"], "a preview is an .mp4 or a .gif"),
        (["--report", "missing/page.html"], "missing/page.html cannot be written"),
        (["--theta"], "No such option"),
        (["--dvs-params", "clean", "--sensor", "ideal"], "give one of them"),
        (["--output-width", "64"], "go together"),
        (["another.mkv"], "unexpected extra argument"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_in_one_line(here, arguments, message):
    assert message in refused("bar.mkv", *arguments)


def test_an_existing_file_is_kept_unless_overwriting_is_asked_for(here):
    for name in ("bar.h5", "film.mp4", "page.html"):
        Path(name).write_text("precious")
    assert "bar.h5 exists" in refused("bar.mkv")
    assert "film.mp4 exists" in refused("bar.mkv", "-o", "new.h5", "--preview", "film.mp4")
    assert "page.html exists" in refused("bar.mkv", "-o", "new.h5", "--report", "page.html")
    convert("bar.mkv", "--overwrite")
    assert len(read("bar.h5")) > 0


def test_the_source_is_never_overwritten(here):
    Path("link.h5").symlink_to("bar.mkv")
    np.save("times.npy", np.arange(12.0))
    np.save("stack.npy", bar())
    assert "is what is to be read" in refused("bar.mkv", "-o", "link.h5", "--overwrite")
    line = refused("stack.npy", "--timestamps", "times.npy", "--report", "times.npy", "--overwrite")
    assert "times.npy is what is to be read" in line


def test_a_failure_on_the_way_leaves_nothing_new_and_nothing_harmed(here):
    """The last frame is NaN: the files are open and hold events by then."""
    frames = bar(300).astype(np.float32) / 255
    frames[-1] = np.nan
    np.save("stack.npy", frames)
    for name in ("stack.h5", "film.gif", "page.html"):
        Path(name).write_text("precious")
    refused("stack.npy", "--fps", 30, "--overwrite", "--preview", "film.gif", "--report", "page.html")


@pytest.mark.parametrize("name", ["full.h5", "full.npz", "full.csv"])
def test_a_full_disk_is_one_line_and_leaves_no_file(here, name):
    """A limit on the size of files stands for the disk: 11 frames of noise make far more than 64 kB."""
    np.save("noise.npy", np.random.default_rng(0).integers(0, 256, (12, 64, 64), dtype=np.uint8))
    before = contents(here)
    done = subprocess.run(
        [*COMMAND, "noise.npy", "--fps", "100", "--sensor", "ideal", "-o", name],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, 2**16)),
    )
    assert done.returncode == 2
    assert f"convert-video: {name} cannot be written: File too large" in done.stderr
    assert done.stderr.count("\n") == 1 + name.endswith(".csv")  # which does not hold everything
    assert contents(here) == before


# Ctrl-C


def test_ctrl_c_keeps_a_valid_part_and_says_so(here):
    """Sparse zeros are quick to read; with a preview there is half a minute of work in them."""
    shape = (6000, 240, 320)
    np.lib.format.open_memmap("zeros.npy", "w+", np.uint8, shape)
    process = subprocess.Popen(
        [*COMMAND, "zeros.npy", "--fps", "100", "--preview", "film.mp4"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(here.glob("film.mp4.*.part")):
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the conversion is partial" in stderr
    assert "zeros.h5" in stdout
    recording = read("zeros.h5")
    assert recording.provenance["partial"] is True
    assert 1 < recording.provenance["frames"] < shape[0]
    assert recording.stop_us == (recording.provenance["frames"] - 1) * 10_000
    with av.open("film.mp4") as film:
        assert sum(1 for _ in film.decode(video=0)) > 0
    assert not list(here.glob("*.part"))


def test_what_was_seen_before_a_stop_is_what_a_whole_conversion_saw(here):
    """Stopping changes nothing in front of it: the part is the beginning of the whole."""
    np.save("long.npy", bar(40))
    for name, stop_after in (("part", 15), ("whole", 1000)):
        plan = prepare(Conversion(source="long.npy", fps=FPS, outputs=(Output(path=Path(f"{name}.npz")),)))
        asked = iter(range(10**6))
        result = run(plan, stopped=lambda asked=asked, stop_after=stop_after: next(asked) >= stop_after)
        assert result.partial == (name == "part")
    part, whole = read("part.npz"), read("whole.npz")
    assert part.stop_us == 14 * 20_000
    np.testing.assert_array_equal(part.events, whole.between(0, part.stop_us).events)


def test_ctrl_c_before_the_second_frame_leaves_nothing(here):
    plan = prepare(Conversion(source="bar.mkv", outputs=(Output(path=Path("bar.h5")),)))
    with pytest.raises(InputError):
        run(plan, stopped=lambda: True)
    assert [path.name for path in here.iterdir()] == ["bar.mkv"]


def test_a_second_ctrl_c_discards_everything(here):
    """It raises KeyboardInterrupt, here while the second batch is reported."""
    np.save("long.npy", bar(600))
    outputs = (Output(path=Path("long.h5")), Output(path=Path("long.csv")))
    plan = prepare(Conversion(source="long.npy", fps=FPS, outputs=outputs, preview=Path("film.gif")))
    reports = []

    def interrupt(progress):
        reports.append(progress)
        if len(reports) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(plan, progress=interrupt)
    assert sorted(path.name for path in here.iterdir()) == ["bar.mkv", "long.npy"]


# v2e's names, and a file of options


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (["--pos_thres", ".3", "--neg-thres=.25"], ["--theta-on", "0.3", "--theta-off", "0.25"]),
        (["--sigma_thres", ".05"], ["--theta-sigma", "0.05"]),
        (["--cutoff_hz", "15"], ["--cutoff-hz", "15"]),
        (["--leak_rate_hz", "1"], ["--leak-hz", "1"]),
        (["--shot_noise_rate_hz", "2"], ["--shot-noise-hz", "2"]),
        (["--refractory_period", "0.001"], ["--refractory-us", "1000"]),
        (["--dvs_emulator_seed", "3"], ["--seed", "3"]),
        (["--input_frame_rate", "25"], ["--fps", "25"]),
        (["--input_slowmotion_factor", "2"], ["--slow-motion", "2"]),
        (["--start_time", ".04", "--stop_time", ".2"], ["--start", "0.04", "--stop", "0.2"]),
        (["--output_width", "24", "--output_height", "16"], ["--size", "24x16"]),
        (["--dvs128"], ["--size", "128x128"]),
        (["--crop", "(8, 4, 2, 3)"], ["--crop", "8,4,2,3"]),
        (["--disable_slomo"], ["--interpolate", "none"]),
        (["--dvs_params", "clean"], ["--sensor", "ideal", "--theta-sigma", "0.02"]),
        (
            ["--dvs_params", "noisy", "--leak-hz", "0.2"],
            [
                *["--sensor", "ideal", "--theta-sigma", "0.05", "--cutoff-hz", "30", "--leak-hz", "0.2"],
                *["--set", f"leak_sigma={0.1 * np.log(10)}", "--shot-noise-hz", "5"],
            ],
        ),
    ],
)  # fmt: skip
def test_an_option_of_v2e_does_what_its_modern_name_does(here, old, new):
    convert("-i", "bar.mkv", "-o", "old.npz", *old)
    convert("bar.mkv", "-o", "new.npz", *new)
    np.testing.assert_array_equal(read("old.npz").events, read("new.npz").events)


def test_the_outputs_of_v2e_have_its_formats_and_its_folder(here):
    Path("out").mkdir()
    convert("-i", "bar.mkv", "--output_folder", "out", "--dvs_h5", "events", "--dvs_text", "events.txt")
    assert sorted(path.name for path in Path("out").iterdir()) == ["events.h5", "events.txt"]
    convert("bar.mkv", "-o", "modern.v2e.h5")
    assert Path("out/events.h5").read_bytes() == Path("modern.v2e.h5").read_bytes()


def test_a_folder_as_output_takes_a_file_named_after_the_source(here):
    Path("out").mkdir()
    convert("bar.mkv", "-o", "out", "--format", "npz")
    assert [path.name for path in Path("out").iterdir()] == ["bar.npz"]


def test_a_config_file_gives_options_and_the_command_line_wins(here):
    Path("options.toml").write_text(
        'theta-on = 0.3\nneg_thres = 0.4\nseed = 4\noutput = "from_config.npz"\ncrop = [8, 4, 2, 3]\n'
        'set = ["hot_pixel_hz=3"]\nquiet = true\n'
    )
    assert convert("bar.mkv", "--config", "options.toml", "--seed", 9).output == ""
    sensor = read("from_config.npz").provenance["sensor"]
    assert (sensor["theta_on"], sensor["theta_off"], sensor["hot_pixel_hz"]) == (0.3, 0.4, 3.0)
    assert read("from_config.npz").provenance["seed"] == 9
    assert read("from_config.npz").width == 36


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("theta_onn = 0.3", "unknown key 'theta_onn' (did you mean 'theta-on'?)"),
        ("theta-on = 0.3.1", "cannot be used"),
        ("theta-on = [1, 2]", "'[1, 2]' is not a valid float"),
        ("theta-on = true", "'True' is not a valid float"),
        ("seed = nan", "'nan' is not a valid integer"),
        ("overwrite = 3", "'3' is not a valid boolean"),
        ("size = 3", "'3' is no size"),
    ],
)
def test_a_config_file_that_is_wrong_is_refused(here, text, message):
    Path("options.toml").write_text(text)
    assert message in refused("bar.mkv", "--config", "options.toml")
    assert "cannot be used" in refused("bar.mkv", "--config", "missing.toml")


# What it says


def test_json_is_all_there_is_on_standard_output(here):
    summary = json.loads(convert("bar.mkv", "--json", "--seed", 3).stdout)
    recording = read("bar.h5")
    assert summary["events"] == len(recording)
    assert summary["on_share"] == pytest.approx(recording.events["p"].mean())
    assert summary["rate_hz"] == pytest.approx(len(recording) / 0.22)
    assert summary["rate_per_pixel_hz"] == pytest.approx(len(recording) / 0.22 / (48 * 32))
    assert (summary["frames"], summary["seed"], summary["partial"]) == (12, 3, False)
    assert summary["files"] == [{"path": "bar.h5", "bytes": Path("bar.h5").stat().st_size}]


def test_quiet_is_quiet(here):
    assert convert("bar.mkv", "--quiet").output == ""


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(here):
    before = contents(here)
    text = convert("bar.mkv", "--dry-run", "--sensor", "dvs128", "--preview", "film.mp4").stdout
    for fact in ("48x32, 12 frames in 220 ms", "128x128 of the sensor", "bar.h5", "film.mp4", "Lichtsteiner"):
        assert fact in text
    plan = json.loads(convert("bar.mkv", "--dry-run", "--json").stdout)
    assert contents(here) == before
    events = json.loads(convert("bar.mkv", "--json").stdout)["events"]
    # All 12 frames are among those that the forecast looks at.
    assert plan["forecast"]["events"] == events
    assert "bar.h5 exists" in refused("bar.mkv", "--dry-run")


def test_sensors_are_listed_with_their_numbers_and_sources(here):
    assert "davis346" in convert("--list-sensors").stdout
    assert "346x260" in convert("--list-sensors").stdout
    one = convert("--list-sensors", "--sensor", "davis346", "--theta-on", "0.5").stdout
    assert "iniVation" in one
    assert "0.5 ln" in one
    assert "set by the user" in one


def test_help_teaches_by_three_examples(here):
    text = convert("--help").stdout
    assert text.count("  convert-video ") == 3
    for heading in ("Outputs:", "Sensor:", "Video:", "Light:", "Running:"):
        assert heading in text
    assert "--pos_thres" in text.split("names of v2e")[1]
    assert "--pos-thres" not in text


def test_the_version_is_that_of_the_package(here):
    from importlib.metadata import version

    assert version("microsaccade") in convert("--version").stdout


def test_help_imports_nothing_heavy(here):
    check = (
        "import sys, click.testing; from dvs.convert_video import main; "
        "click.testing.CliRunner().invoke(main, ['--help']); "
        "sys.exit(any(name in sys.modules for name in ('av', 'cv2', 'numba', 'h5py', 'rich.progress')))"
    )
    assert subprocess.run([sys.executable, "-c", check]).returncode == 0


# From Python


def test_a_conversion_is_a_record_that_python_can_run(here):
    result = conversion.convert(
        Conversion(source="bar.mkv", outputs=(Output(path=Path("bar"), format="npz"),), sensor=load_sensor("ideal"))
    )
    recording = read("bar", format="npz")
    check_events(recording.events, 48, 32)
    assert (result.events, result.frames, result.duration_s) == (len(recording), 12, 0.22)


def test_an_interpolation_that_does_not_exist_is_named():
    with pytest.raises(ParameterError, match="expected one of none, flow"):
        prepare(Conversion(source="x", outputs=(), interpolation="linear"))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_film(here):
    """Both films are longer than a chunk of frames; three times the film takes no more memory."""
    for name, count in (("short.mkv", 400), ("long.mkv", 1200)):
        write_video(name, np.resize(bar(40, 160, 120), (count, 120, 160)))
    script = (
        "import resource, sys; from pathlib import Path; from dvs.conversion import *; "
        "convert(Conversion(source=sys.argv[1], outputs=(Output(path=Path(sys.argv[1] + '.npz')),), "
        "report=Path(sys.argv[1] + '.html'))); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    kilobytes = [
        int(subprocess.run([sys.executable, "-c", script, name], capture_output=True, check=True).stdout)
        for name in ("short.mkv", "long.mkv")
    ]
    assert kilobytes[1] - kilobytes[0] < 10_000
