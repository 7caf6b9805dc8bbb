"""Whole data sets of videos: what belongs to one, what is written where, and what survives a fault."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from dvs.batch import run, work
from dvs.batch.local import TRIES, run_local
from dvs.batch.manifest import Manifest, read_manifest, read_records
from dvs.batch.run import Batch, plan_batch, run_batch
from dvs.batch.search import Video, find_videos, is_set
from dvs.batch.tasks import Task, in_shard, plan_tasks
from dvs.batch.work import Outcome, Step, convert_task, failed, publish
from dvs.conversion import Conversion, Output
from dvs.convert_video import main
from dvs.errors import FormatError, InputError, OutputError, ParameterError
from dvs.files import read

FIELDS = {
    *("source", "output", "label", "status", "error", "events", "seconds", "warnings"),
    *("source_sha256", "output_sha256", "settings_sha256"),
}


def video(path, shift=0, count=6, size=16):
    """A stack of frames with times, in which a bright bar moves."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = np.full((count, size, size), 60, np.uint8)
    for number in range(count):
        frames[number, :, (number + shift) % (size - 4) : (number + shift) % (size - 4) + 4] = 200
    np.savez(path, frames=frames, times_us=np.arange(count) * 10_000)
    return path


def images(folder):
    """The same as a folder of images with times."""
    folder = Path(folder)
    folder.mkdir(parents=True)
    for number in range(4):
        picture = np.full((16, 16), 60 + 40 * number, np.uint8)
        assert cv2.imwrite(str(folder / f"{number}.png"), picture)
    (folder / "timestamps.txt").write_text("0\n10000\n20000\n30000\n")
    return folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A current folder with the set `in`: three videos in two classes."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("cat/a.npz", "cat/b.npz", "dog/a.npz")):
        video(f"in/{name}", shift=number)
    return tmp_path


@pytest.fixture
def here(folder, monkeypatch):
    """The same, and an engine without processes: each new one would load the compiled pixel again."""

    def run_here(tasks, parts, *, jobs, stopped):
        for each in tasks:
            if stopped():
                return
            yield each, Step(share=0.0)
            yield each, convert_task(each, parts)

    monkeypatch.setattr(run, "run_local", run_here)
    return folder


def convert(*arguments, code=0):
    """Run the command in this process, on one video at a time."""
    several = [] if "--jobs" in arguments or "--cluster" in arguments else ["--jobs", 1]
    result = CliRunner().invoke(main, [str(argument) for argument in (*arguments, *several)])
    assert result.exit_code == code, result.output
    return result


def lines(path="out/manifest.jsonl"):
    """The records of a manifest, exactly as many as it has lines."""
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def statuses(path="out/manifest.jsonl"):
    return {record["output"]: record["status"] for record in lines(path)}


def files(folder="out"):
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def digest(path):
    return sha256(Path(path).read_bytes()).hexdigest()


# What belongs to a set


def names(*sources, **options):
    return [video.name for video in find_videos([str(source) for source in sources], **options)]


def test_a_folder_that_holds_videos_is_a_set_and_one_that_holds_only_images_is_a_sequence(here):
    images("frames")
    assert is_set("in/cat")
    assert not is_set("frames")
    video("frames/also.npy.npz")
    # Beside images an array holds their times.
    assert not is_set("frames")
    Path("frames/film.mp4").touch()
    assert is_set("frames")
    for source in ("in/cat/a.npz", "missing", "0", "-", "missing.csv"):
        assert not is_set(source)


def test_a_search_is_deep_only_if_asked_and_finds_sequences_among_videos(here):
    images("in/mouse/seq")
    with pytest.raises(InputError, match="--recursive to search its folders"):
        find_videos(["in"])
    assert names("in/cat") == ["a.npz", "b.npz"]
    assert names("in", recursive=True) == ["cat/a.npz", "cat/b.npz", "dog/a.npz", "mouse/seq"]
    assert names("in/mouse/seq", recursive=True) == ["seq"]
    assert names("in/mouse/seq") == ["seq"]


def test_events_times_and_hidden_files_are_no_videos(here):
    np.save("in/cat/a_ts.npy", np.arange(6) * 0.01)
    np.savez("in/cat/events.npz", x=np.zeros(3))
    video("in/.cache/c.npz")
    video("in/cat/.c.npz")
    Path("in/cat/notes.txt").write_text("no video")
    assert names("in", recursive=True) == ["cat/a.npz", "cat/b.npz", "dog/a.npz"]


def test_a_pattern_is_expanded_unless_a_file_has_that_name(here):
    assert names("in/*/a.npz") == ["cat/a.npz", "dog/a.npz"]
    assert names("in/**/*.npz") == ["cat/a.npz", "cat/b.npz", "dog/a.npz"]
    assert names(here / "in" / "c*") == ["cat/a.npz", "cat/b.npz"]
    video("in/clip [1].npz")
    assert names("in/clip [1].npz") == ["clip [1].npz"]
    with pytest.raises(InputError, match="holds no videos"):
        find_videos(["in/*.avi"])


def test_several_sources_keep_what_tells_them_apart(here):
    assert names("in/cat", "in/dog") == ["cat/a.npz", "cat/b.npz", "dog/a.npz"]
    assert names("in/cat/a.npz", "in/dog/a.npz") == ["cat/a.npz", "dog/a.npz"]
    assert names("in/cat/a.npz", "in/cat") == ["a.npz", "b.npz"]


def test_links_are_followed_and_a_loop_of_links_ends(here):
    Path("in/cat/loop").symlink_to(here / "in")
    Path("in/self.mp4").symlink_to("self.mp4")
    Path("elsewhere").mkdir()
    video("elsewhere/c.npz")
    Path("in/linked").symlink_to(here / "elsewhere")
    # The link to itself is no folder, and is kept as a video that will fail.
    assert names("in", recursive=True) == ["cat/a.npz", "cat/b.npz", "dog/a.npz", "linked/c.npz", "self.mp4"]


def test_the_folder_of_the_events_is_not_searched(here):
    video("in/out/old.npz")
    assert names("in", recursive=True, leave_out=Path("in/out")) == ["cat/a.npz", "cat/b.npz", "dog/a.npz"]
    assert names("in/cat", leave_out=Path("in/cat")) == ["a.npz", "b.npz"]


def test_a_label_is_the_folder_in_which_a_video_lies(here):
    found = find_videos(["in"], recursive=True, label_folders=True)
    assert [each.label for each in found] == ["cat", "cat", "dog"]
    assert [each.label for each in find_videos(["in/cat"], label_folders=True)] == ["cat", "cat"]


def test_a_list_gives_sources_outputs_labels_and_options(here):
    Path("in/list.csv").write_text(
        "\ufeffsource, output, label, theta-on\ncat/a.npz, one, purrs, 0.3\n\n../in/dog/a.npz,,,\n"
    )
    Path("in/list.jsonl").write_text(
        '{"source": "cat/a.npz", "output": "one", "label": 3, "theta_on": 0.3, "crop": [1, 2, 0, 0]}\n\n'
        '{"source": "dog/a.npz", "label": null}\n'
    )
    one, two = find_videos(["in/list.csv"])
    assert (one.name, one.output, one.label, one.options) == ("cat/a.npz", "one", "purrs", {"theta-on": "0.3"})
    assert (two.name, two.output, two.label, two.options) == ("dog/a.npz", None, None, {})
    one, two = find_videos(["in/list.jsonl"], label_folders=True)
    assert (one.label, one.options) == (3, {"theta_on": 0.3, "crop": [1, 2, 0, 0]})
    assert two.label == "dog"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", '{"source": "a.npz"}\n{"sou', "a.jsonl line 2 is no JSON"),
        ("a.jsonl", "[1]\n", "a.jsonl line 1 is no JSON object"),
        ("a.jsonl", '{"path": "a.npz"}\n', "a.jsonl line 1 names no source"),
        ("a.jsonl", '{"source": "a.npz", "label": [1]}\n', "a label that is no text"),
        ("a.csv", "path\na.npz\n", "a.csv line 2 names no source"),
        ("a.csv", "source\na.npz,b,c\n", "line 2 has more cells"),
        ("a.csv", "source\n", "holds no videos"),
        ("a.csv", "", "holds no videos"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused_with_its_line(here, name, text, message):
    Path(name).write_text(text)
    with pytest.raises(InputError, match=message):
        find_videos([name])
    Path(name).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read as a list"):
        find_videos([name])


# What is written where


def tasks_of(*entries, **options):
    videos = [Video(source=name, name=name, stem=str(Path(name).with_suffix("")), **more) for name, more in entries]
    return plan_tasks(
        videos, Path("out"), conversion_of=lambda each: Conversion(source=each.source, outputs=()), **options
    )


def test_videos_with_one_stem_get_names_of_their_own():
    """a.mp4 and a.mkv would both be a.h5; as a.mp4.h5 the first would be what a.mp4.avi is, which changes too."""
    entries = [(name, {}) for name in ("a.mp4", "a.mkv", "a.mp4.avi", "b.mp4", "c/a.mp4", "B.MP4")]
    outputs = [task.output for task in tasks_of(*entries)]
    assert outputs == ["a.mp4.h5", "a.mkv.h5", "a.mp4.avi.h5", "b.mp4.h5", "c/a.h5", "B.MP4.h5"]


def test_outputs_of_a_list_stay_in_the_folder_and_apart():
    (task,) = tasks_of(("a.mp4", {"output": "x/one"}), format="npz", preview=".mp4", report=".page.html")
    assert [str(path) for path in task.conversion.targets] == ["out/x/one.npz", "out/x/one.mp4", "out/x/one.page.html"]
    for output in ("/tmp/a.h5", "../a.h5", "x/../../a.h5", "."):
        with pytest.raises(ParameterError, match="is not in the folder of the set"):
            tasks_of(("a.mp4", {"output": output, "where": "list.csv line 2"}))
    with pytest.raises(ParameterError, match=r"one\.h5 would be written for two videos"):
        tasks_of(("a.mp4", {"output": "one"}), ("b.mp4", {"output": "one.h5"}))
    with pytest.raises(ParameterError, match="would be written for two videos"):
        tasks_of(("a.mp4", {}), ("a.mp4", {}))
    with pytest.raises(FormatError, match="no known suffix"):
        tasks_of(("a.mp4", {"output": "one.avi"}))


def test_previews_of_an_earlier_run_are_no_videos():
    """Where events are written beside the videos, the second run finds a.events.mp4 there."""
    first = plan_tasks(
        [Video(source=f"out/{name}", name=name, stem=name[:-4]) for name in ("a.mp4", "a.events.mp4")],
        Path("out"),
        conversion_of=lambda each: Conversion(source=each.source, outputs=()),
        preview=".events.mp4",
    )
    assert [task.output for task in first] == ["a.h5"]


def test_shards_share_all_videos_and_a_name_alone_decides():
    """Of 300 names each of three shards has about 100: a binomial of sd 8.2, so 60 to 140 is five of them."""
    tasks = tasks_of(*((f"{number}.mp4", {}) for number in range(300)))
    shards = [{task.output for task in tasks if in_shard(task, (number, 3))} for number in (1, 2, 3)]
    assert set.union(*shards) == {task.output for task in tasks}
    assert sum(map(len, shards)) == 300
    assert all(60 < len(shard) < 140 for shard in shards)
    assert {task.output for task in tasks[:50] if in_shard(task, (1, 3))} <= shards[0]


def test_the_hash_of_the_settings_is_that_of_what_changes_the_files():
    (task,) = tasks_of(("a.mp4", {}))

    def hash_with(**changes):
        return replace(task, conversion=replace(task.conversion, **changes)).settings_sha256

    same = task.settings_sha256
    sensor = task.conversion.sensor
    assert hash_with(source="b.mp4") == hash_with(threads=3) == hash_with(overwrite=True) == same
    assert hash_with(outputs=(Output(path=Path("other.h5")),)) == same
    others = [
        hash_with(seed=1),
        hash_with(stop_s=2.0),
        hash_with(sensor=sensor.with_(theta_on=0.31)),
        hash_with(outputs=(Output(path=Path("a.npz")),)),
        hash_with(report=Path("a.html")),
    ]
    assert len({same, *others}) == 6


# The manifest


RECORD = {"source": "a.mp4", "output": "a.h5", "status": "done"}


def test_the_last_line_of_an_output_counts_and_a_torn_one_does_not(tmp_path):
    path = tmp_path / "manifest.jsonl"
    with Manifest(path, {"a.h5": RECORD}) as manifest:
        manifest.add({**RECORD, "output": "b.h5"})
        manifest.add({**RECORD, "status": "failed"})
        # What a killed run would leave.
        with path.open("a") as file:
            file.write('{"source": "c.mp4", "output": "c.h5", "sta')
        assert {name: record["status"] for name, record in read_manifest(path).items()} == {
            "a.h5": "failed",
            "b.h5": "done",
        }
        assert len(path.read_text().splitlines()) == 4
    assert statuses(path) == {"a.h5": "failed", "b.h5": "done"}
    assert len(lines(path)) == 2


def test_all_shards_together_know_what_was_done(tmp_path):
    for number, status in ((1, "done"), (2, "failed")):
        with Manifest(tmp_path / f"manifest-{number}-of-2.jsonl", {}) as manifest:
            manifest.add({**RECORD, "status": status})
            manifest.add({**RECORD, "output": f"{number}.h5"})
    records = read_records(tmp_path)
    assert sorted(records) == ["1.h5", "2.h5", "a.h5"]
    assert records["a.h5"]["status"] == "done"


def test_a_file_that_is_no_manifest_is_not_taken_for_one(tmp_path):
    path = tmp_path / "manifest.jsonl"
    for text in ("shopping list\n", '{"path": "a"}\n', "[]\n", '{"output": []}\n'):
        path.write_text(text)
        with pytest.raises(FormatError, match=r"line 1 .* is no record"):
            read_manifest(path)


# The command


def test_a_set_becomes_files_under_the_same_folders_and_a_manifest(here):
    result = convert("in", "-o", "out", "--recursive", "--labels", "from-folders", "--preview", ".gif")
    outputs = ["cat/a.h5", "cat/b.h5", "dog/a.h5"]
    previews = [name.replace(".h5", ".gif") for name in outputs]
    assert files() == sorted([*outputs, *previews, "labels.csv", "manifest.jsonl"])
    assert statuses() == dict.fromkeys(outputs, "done")
    for record in lines():
        assert set(record) == FIELDS
        recording = read(f"out/{record['output']}")
        assert record["events"] == len(recording) > 0
        assert record["seconds"] > 0
        assert record["error"] is None
        assert record["source"] == f"in/{record['output'].replace('.h5', '.npz')}"
        assert record["source_sha256"] == digest(record["source"]) == recording.provenance["source_sha256"]
        assert record["output_sha256"] == digest(f"out/{record['output']}")
        assert record["label"] == Path(record["source"]).parent.name
    assert len({record["settings_sha256"] for record in lines()}) == 1
    assert "3 done" in result.stdout
    assert f"{sum(record['events'] for record in lines()):,}" in result.stdout
    assert not list(Path().rglob(".manifest*"))


def test_the_labels_make_a_tonic_data_set_of_what_was_done(here):
    """A list gives labels, and one of its videos cannot be read: the data set has the others."""
    from dvs.tonic_data import EventFolder

    Path("in/bad, worse.mp4").touch()
    Path("in/list.csv").write_text(
        'source,label,output\ncat/a.npz,purrs,"one, two"\ndog/a.npz,barks,\n"bad, worse.mp4",hides,\ncat/b.npz,,\n'
    )
    convert("in/list.csv", "-o", "out", code=2)
    data = EventFolder("out/labels.csv")
    assert [path.as_posix() for path in data.data] == ["out/dog/a.h5", "out/one, two.h5"]
    assert [data.classes[target] for target in data.targets] == ["barks", "purrs"]
    events, _ = data[0]
    np.testing.assert_array_equal(events["t"], read("out/dog/a.h5").events["t"])
    Path("new").mkdir()
    Path("new/labels.csv").write_text("precious")
    assert "new/labels.csv exists" in convert("in/list.csv", "-o", "new", code=2).stderr


def test_a_video_of_a_set_becomes_the_very_file_that_it_becomes_alone(folder):
    convert("in/cat", "-o", "out", "--seed", 5, "--sensor", "davis346", "--jobs", 2)
    alone = CliRunner().invoke(main, ["in/cat/a.npz", "-o", "a.h5", "--seed", "5", "--sensor", "davis346"])
    assert alone.exit_code == 0
    assert Path("out/a.h5").read_bytes() == Path("a.h5").read_bytes()


def test_what_is_wrong_with_one_video_stops_no_other(here):
    Path("in/cat/empty.mp4").touch()
    Path("in/cat/text.mp4").write_text("no video")
    Path("in/cat/torn.npz").write_bytes(Path("in/cat/a.npz").read_bytes()[:400])
    Path("in/cat/gone.mp4").symlink_to("nowhere.mp4")
    video("in/cat/a [b]  c.npz")
    result = convert("in/cat", "-o", "out", code=2)
    states = statuses()
    bad = {"empty.h5", "text.h5", "torn.h5", "gone.h5"}
    assert {name for name, status in states.items() if status == "failed"} == bad
    assert {name for name, status in states.items() if status == "done"} == {"a.h5", "b.h5", "a [b]  c.h5"}
    for record in lines():
        if record["status"] == "failed":
            assert "\n" not in record["error"]
            assert f"failed: {record['error']}" in result.stderr
            assert record["events"] is record["output_sha256"] is None
    assert "4 of 7 videos failed" in result.stderr.splitlines()[-1]
    assert sorted(files()) == sorted(["a.h5", "b.h5", "a [b]  c.h5", "manifest.jsonl"])


def test_a_list_has_options_for_each_video(here):
    Path("list.jsonl").write_text(
        '{"source": "in/cat/a.npz", "output": "high", "theta_on": 0.4, "pos_thres": 0.5}\n'
        '{"source": "in/cat/a.npz", "output": "low.npz", "label": "l", "stop": 0.03, "set": ["hot_pixel_hz=3"]}\n'
        '{"source": "in/dog/a.npz", "size": "8x8", "seed": 4}\n'
    )
    convert("list.jsonl", "-o", "out", "--theta-on", 0.3, "--seed", 2)
    assert files() == ["high.h5", "in/dog/a.h5", "labels.csv", "low.npz", "manifest.jsonl"]
    high, low, small = (read(f"out/{name}") for name in ("high.h5", "low.npz", "in/dog/a.h5"))
    assert [each.provenance["sensor"]["theta_on"] for each in (high, low, small)] == [0.5, 0.3, 0.3]
    assert low.provenance["sensor"]["hot_pixel_hz"] == 3
    assert (low.stop_us, high.stop_us) == (20_000, 50_000)
    assert (small.width, small.height) == (8, 8)
    assert [each.provenance["seed"] for each in (high, low, small)] == [2, 2, 4]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"theta_onn": 0.3}, "line 1 has the unknown key 'theta_onn' (did you mean 'theta-on'?)"),
        ({"overwrite": True}, "unknown key 'overwrite'"),
        ({"theta_on": "high"}, "list.jsonl line 1: Invalid value for '--theta-on': 'high' is not a valid float"),
        ({"sensor": "davis364"}, "did you mean 'davis346'"),
        ({"output": "../a.h5"}, "line 1: the output ../a.h5 is not in the folder"),
    ],
)
def test_a_list_with_a_wrong_option_is_refused_before_any_work(here, row, message):
    Path("list.jsonl").write_text(json.dumps({"source": "in/cat/a.npz", **row}))
    result = convert("list.jsonl", "-o", "out", code=2)
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["in/cat"], "in/cat is a data set; give the folder for its events: -o FOLDER"),
        (["in/cat/a.npz", "in/cat/b.npz"], "unexpected extra argument (in/cat/b.npz); several videos need a folder"),
        (["in/cat", "-o", "a.h5"], "a.h5 is one file; give a folder"),
        (["in/cat", "-o", "a", "-o", "b"], "has one -o FOLDER"),
        (["in/cat", "-o", "out", "--preview", "film.mp4"], "--preview film.mp4 is one file"),
        (["in/cat", "-o", "out", "--report", ".pdf"], "--report .pdf is one file"),
        (["in/cat", "-o", "out", "--dvs-h5", "x"], "choose a --format for a data set"),
        (["in/cat", "-o", "out", "--shard", "0/3"], "'0/3' is no shard"),
        (["in/cat", "-o", "out", "--shard", "4/3"], "'4/3' is no shard"),
        (["in/cat", "-o", "out", "--jobs", "0"], "0 is not in the range"),
        (["in/cat", "-o", "out", "--jobs", "2", "--cluster", "tcp://x:1"], "give one of them"),
        (["in", "-o", "out", "--resume"], "in holds no videos"),
        (["in/cat", "-o", "in/cat/a.npz"], "a.npz is one file"),
        (["in/cat", "-o", "in/cat/a.npz/out"], "cannot be written"),
        (["in/cat", "-o", "/proc/out"], "/proc/out cannot be written"),
        (["in/cat", "-o", "out", "--cluster", "nonsense://x"], "no Dask scheduler answers at nonsense://x"),
    ],
)
def test_a_set_that_makes_no_sense_is_refused_in_one_line(here, arguments, message):
    before = files(".")
    if "--cluster" in arguments:
        pytest.importorskip("distributed", reason="the extra cluster is not installed")
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not [name for name in files(".") if name not in before and not name.endswith("manifest.jsonl")]


def test_nothing_is_overwritten_unless_that_is_asked_for(here):
    Path("out").mkdir()
    Path("out/a.h5").write_text("precious")
    Path("out/b.gif").write_text("precious")
    result = convert("in/cat", "-o", "out", "--preview", ".gif", code=2)
    assert result.stderr.count(" exists; ") == 2
    assert Path("out/a.h5").read_text() == Path("out/b.gif").read_text() == "precious"
    assert files() == ["a.h5", "b.gif", "manifest.jsonl"]
    assert "manifest.jsonl exists; --resume goes on with it" in convert("in/cat", "-o", "out", code=2).stderr
    convert("in/cat", "-o", "out", "--preview", ".gif", "--overwrite")
    assert statuses() == {"a.h5": "done", "b.h5": "done"}
    assert len(read("out/a.h5")) > 0


def test_a_run_is_resumed_where_video_settings_or_events_have_changed(here):
    convert("in", "-o", "out", "--recursive")
    before = {name: Path(f"out/{name}").stat().st_mtime_ns for name in statuses()}

    def resumed(*arguments, code=0):
        result = convert("in", "-o", "out", "--recursive", "--resume", "--json", *arguments, code=code)
        return {each["output"]: each["status"] for each in json.loads(result.stdout)["videos"]}

    assert resumed() == dict.fromkeys(before, "skipped")
    assert {name: Path(f"out/{name}").stat().st_mtime_ns for name in before} == before
    assert statuses() == dict.fromkeys(before, "done")
    # A file of events that is missing is made again; one that has changed is not harmed.
    Path("out/cat/a.h5").unlink()
    Path("out/cat/b.h5").write_text("edited")
    assert resumed(code=2) == {"cat/a.h5": "done", "cat/b.h5": "failed", "dog/a.h5": "skipped"}
    assert Path("out/cat/b.h5").read_text() == "edited"
    video("in/dog/a.npz", shift=7)
    video("in/dog/new.npz")
    assert resumed("--overwrite") == {
        "cat/a.h5": "skipped",
        "cat/b.h5": "done",
        "dog/a.h5": "done",
        "dog/new.h5": "done",
    }
    assert set(resumed("--seed", "3", code=2).values()) == {"failed"}


def test_shards_need_not_talk_and_one_more_run_puts_them_together(here):
    for number in range(4):
        video(f"in/dog/{number}.npz", shift=number)
    for number in (1, 2):
        convert("in", "-o", "out", "--recursive", "--shard", f"{number}/2")
    one, two = (statuses(f"out/manifest-{number}-of-2.jsonl") for number in (1, 2))
    assert not set(one) & set(two)
    assert len(one) + len(two) == 7
    assert one
    assert two
    summary = json.loads(convert("in", "-o", "out", "--recursive", "--resume", "--json").stdout)
    assert (summary["skipped"], summary["done"], summary["failed"], summary["left"]) == (7, 0, 0, 0)
    assert statuses() == dict.fromkeys({*one, *two}, "done")


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(here):
    text = convert("in", "-o", "out", "--recursive", "--labels", "from-folders", "--dry-run").stdout
    assert not Path("out").exists()
    for fact in ("in/cat/a.npz", "cat/a.h5", "dog", "3 videos", "Nothing was written"):
        assert fact in text
    convert("in/cat", "-o", "out")
    Path("out/b.h5").unlink()
    video("in/cat/c.npz")
    Path("out/c.h5").write_text("precious")
    plan = json.loads(convert("in/cat", "-o", "out", "--dry-run", "--json", "--resume").stdout)
    assert {each["output"]: each["plan"] for each in plan["videos"]} == {
        "a.h5": "check",
        "b.h5": "convert",
        "c.h5": "refuse",
    }


def test_quiet_says_what_fails_and_nothing_else(here):
    assert convert("in/cat", "-o", "out", "--quiet").output == ""
    Path("in/cat/empty.mp4").touch()
    result = convert("in/cat", "-o", "out", "--quiet", "--resume", code=2)
    assert result.stdout == ""
    assert result.stderr.count("\n") == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write and read everything")
def test_folders_without_the_right_to_write_or_read_are_one_line(here):
    Path("out/dog").mkdir(parents=True)
    Path("out/dog").chmod(0o555)
    convert("in", "-o", "out", "--recursive", code=2)
    assert statuses() == {"cat/a.h5": "done", "cat/b.h5": "done", "dog/a.h5": "failed"}
    Path("in/dog").chmod(0)
    assert "cannot be searched" in convert("in", "-o", "new", "--recursive", code=2).stderr
    Path("in/dog").chmod(0o755)


def test_a_folder_in_the_way_of_one_video_fails_that_one_only(here):
    """A file where the folder of an output should be stands for every folder that cannot be written, for root too."""
    Path("out").mkdir()
    Path("out/dog").write_text("precious")
    result = convert("in", "-o", "out", "--recursive", code=2)
    assert statuses() == {"cat/a.h5": "done", "cat/b.h5": "done", "dog/a.h5": "failed"}
    assert "out/dog" in result.stderr
    assert Path("out/dog").read_text() == "precious"


# Workers that die, runs that are stopped


def task(name):
    path = Path(f"{name}.h5")
    return Task(
        output=path.name,
        folder=Path(),
        conversion=Conversion(source=f"{name}.npz", outputs=(Output(path=path),)),
    )


def die_once(task, parts, tell):
    """Work that kills its process the first time it sees b, and always at c."""
    with (parts / "calls").open("a") as file:
        file.write(f"{task.output} {os.getpid()}\n")
    tell(Step(share=0.5))
    calls = (parts / "calls").read_text().split()
    if task.output == "c.h5" or (task.output == "b.h5" and calls.count("b.h5") == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    return Outcome(record={"output": task.output, "status": "done"})


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_killed_worker_costs_nothing_but_a_second_try(tmp_path, jobs):
    tasks = [task(name) for name in "abcde"]
    reports = list(run_local(tasks, tmp_path, jobs=jobs, stopped=lambda: False, work=die_once))
    outcomes = [(each.output, report.record) for each, report in reports if isinstance(report, Outcome)]
    assert sorted(output for output, _ in outcomes) == ["a.h5", "b.h5", "c.h5", "d.h5", "e.h5"]
    states = {output: record["status"] for output, record in outcomes}
    assert states == {"a.h5": "done", "b.h5": "done", "c.h5": "failed", "d.h5": "done", "e.h5": "done"}
    assert "died 3 times (SIGKILL)" in dict(outcomes)["c.h5"]["error"]
    calls = (tmp_path / "calls").read_text().split()
    assert [calls.count(f"{name}.h5") for name in "abcde"] == [1, 2, TRIES, 1, 1]


def test_a_stop_begins_no_more_videos_and_finishes_those_that_are_begun(tmp_path):
    tasks = [task(name) for name in "adefghijk"]
    seen = []
    for each, report in run_local(tasks, tmp_path, jobs=2, stopped=lambda: len(seen) > 0, work=die_once):
        if isinstance(report, Outcome):
            seen.append(each.output)
    calls = (tmp_path / "calls").read_text().split()
    assert sorted(seen) == sorted(calls[::2])
    assert len(seen) < 5


def test_a_stopped_set_is_resumed_to_the_same_files(here):
    """Two of three are done when the stop comes: one is left, and no more than that is done later."""
    videos = find_videos(["in"], recursive=True)
    batch = Batch(
        folder=Path("out"),
        tasks=plan_tasks(
            videos, Path("out"), conversion_of=lambda each: Conversion(source=each.source, outputs=(), threads=1)
        ),
    )
    tallies = []
    tally = run_batch(plan_batch(batch), show=tallies.append, stopped=lambda: tallies[-1].done >= 2)
    assert (tally.done, tally.left) == (2, 1)
    assert len(lines()) == 2
    tally = run_batch(plan_batch(replace(batch, resume=True)))
    assert (tally.done, tally.skipped, tally.left) == (1, 2, 0)
    convert("in", "-o", "whole", "--recursive")
    for name in statuses():
        np.testing.assert_array_equal(read(f"out/{name}").events, read(f"whole/{name}").events)


def test_two_runs_do_not_write_one_manifest(here):
    batch = Batch(folder=Path("out"), tasks=[])

    def intrude(tally):
        with pytest.raises(OutputError, match="another run is writing"):
            run_batch(replace(batch, resume=True))

    run_batch(batch, show=intrude)
    run_batch(replace(batch, resume=True))


def test_an_output_that_appears_meanwhile_is_kept(here):
    video("a.npz")
    outcome = convert_task(task("a"), here / "parts")
    assert outcome.record["status"] == "done"
    Path("a.h5").write_text("precious")
    record = publish(task("a"), outcome).record
    assert record["status"] == "failed"
    assert "a.h5 cannot be written: File exists" in record["error"]
    assert Path("a.h5").read_text() == "precious"
    assert not list((here / "parts").iterdir())


def test_a_fault_of_a_library_fails_one_video(here, monkeypatch):
    def explode(conversion):
        raise ZeroDivisionError("deep in\na library")

    monkeypatch.setattr(work, "prepare", explode)
    video("a.npz")
    record = convert_task(task("a"), here / "parts").record
    assert (record["status"], record["error"]) == ("failed", "ZeroDivisionError: deep in a library")
    assert failed(task("a"), "x").record["events"] is None


def long_set(*counts):
    """Videos with so many frames, of which a thousand take seconds."""
    Path("long").mkdir()
    for number, count in enumerate(counts):
        frames = np.zeros((count, 120, 160), np.uint8)
        frames[:, :, number] = np.arange(count)[:, None] % 200
        np.savez(f"long/{number}.npz", frames=frames, times_us=np.arange(count) * 10_000)


def start(*arguments):
    """The command in a process of its own, when the first video is done."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dvs.convert_video", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (Path("out/manifest.jsonl").exists() and Path("out/manifest.jsonl").read_text().count("\n")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    return process


def wait_for_the_second_video():
    """The parts of the first are gone, so that those that are there are its own."""
    while not read_or_nothing("out/0.h5"):
        time.sleep(0.01)
    time.sleep(0.1)
    while not list(Path("out/.manifest.parts").glob("*/")):
        time.sleep(0.01)


def read_or_nothing(path):
    return Path(path).read_bytes() if Path(path).exists() else b""


def test_a_run_that_is_killed_goes_on_with_resume(here):
    long_set(20, 1500, 20, 20)
    process = start("long", "-o", "out", "--jobs", "1")
    wait_for_the_second_video()
    process.kill()
    process.communicate()
    begun = statuses()
    assert begun == {"0.h5": "done"}
    before = Path("out/0.h5").stat().st_mtime_ns
    # The video at which it was killed, shorter now, for the time that it takes.
    video("long/1.npz")
    summary = json.loads(convert("long", "-o", "out", "--resume", "--json").stdout)
    assert (summary["done"], summary["skipped"], summary["failed"]) == (3, 1, 0)
    assert Path("out/0.h5").stat().st_mtime_ns == before
    assert statuses() == {f"{number}.h5": "done" for number in range(4)}
    assert all(digest(f"out/{record['output']}") == record["output_sha256"] for record in lines())
    assert files() == ["0.h5", "1.h5", "2.h5", "3.h5", "manifest.jsonl"]


@pytest.mark.parametrize(("times", "done"), [(1, 2), (2, 1)])
def test_ctrl_c_leaves_a_manifest_that_resume_understands(folder, times, done):
    """The first finishes the video that is begun, the second discards it; the third of the set is begun by neither."""
    long_set(20, 1500, 20)
    process = start("long", "-o", "out", "--jobs", "1", "--quiet")
    wait_for_the_second_video()
    process.send_signal(signal.SIGINT)
    assert "stopping when the videos that are begun are finished" in process.stderr.readline()
    if times == 2:
        process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert (f"{3 - done} of 3 videos are left; --resume goes on" if times == 1 else "stopped at once") in stderr
    assert statuses() == {f"{number}.h5": "done" for number in range(done)}
    assert files() == [*(f"{number}.h5" for number in range(done)), "manifest.jsonl"]


@pytest.mark.slow
def test_a_cluster_finishes_a_set_though_a_worker_is_killed(folder):
    """Two workers with a process each; one is killed while it is at a video."""
    distributed = pytest.importorskip("distributed", reason="the extra cluster is not installed")
    long_set(*[300] * 6)
    Path("long/bad.mp4").touch()
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50
    ) as cluster:
        process = start("long", "-o", "out", "--cluster", cluster.scheduler_address, "--json", "--quiet")
        while read_manifest(Path("out/manifest.jsonl")).keys() <= {"bad.h5"}:
            time.sleep(0.01)
        os.kill(cluster.workers[0].process.process.pid, signal.SIGKILL)
        stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 2, stderr
    summary = json.loads(stdout)
    assert (summary["done"], summary["failed"], summary["left"]) == (6, 1, 0)
    assert statuses() == {**{f"{number}.h5": "done" for number in range(6)}, "bad.h5": "failed"}
    assert len(lines()) == 7
    assert all(digest(f"out/{each['output']}") == each["output_sha256"] for each in lines() if each["events"])
    assert files() == [*(f"{number}.h5" for number in range(6)), "manifest.jsonl"]


def test_recordings_that_are_folders_are_made_and_found_again(here):
    """EVREAL is a folder for each recording; a second run has nothing to do."""
    convert("in", "-o", "out", "--recursive", "--format", "evreal")
    assert len(read("out/cat/a.evreal")) > 0
    assert set(statuses().values()) == {"done"}
    before = {path: path.stat().st_mtime_ns for path in Path("out").rglob("*.npy")}
    convert("in", "-o", "out", "--recursive", "--format", "evreal", "--resume")
    assert before == {path: path.stat().st_mtime_ns for path in Path("out").rglob("*.npy")}


def test_a_source_that_is_not_there_is_no_set(here):
    """Nothing is written: it is a slip of the pen."""
    said = convert("nothing", "-o", "out", "--recursive", code=2).output
    assert "nothing does not exist; give a video, a folder, a pattern or a list" in said
    assert not Path("out").exists()


def test_a_folder_of_folders_asks_for_recursive(here):
    assert "or --recursive to search its folders" in convert("in", "-o", "out", code=2).output
