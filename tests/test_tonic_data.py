"""Folders of recordings and of videos are tonic data sets, and tonic data sets are recordings."""

import json
import multiprocessing
import pickle
from dataclasses import replace
from functools import partial

import av
import numpy as np
import pytest
import tonic
from tonic import transforms as tonic_transforms

from dvs import files, transforms
from dvs.conversion import Conversion, Output, convert
from dvs.errors import FormatError, InputError, ParameterError
from dvs.events import EVENT_DTYPE, Recording, make_events
from dvs.sensors import load_sensor
from dvs.tonic_data import EventFolder, VideoDataset, from_tonic

WIDTH, HEIGHT = 16, 12


def a_recording(seed, count=200, width=WIDTH, height=HEIGHT):
    rng = np.random.default_rng(seed)
    t_us = np.sort(rng.integers(0, 100_000, count))
    events = make_events(rng.integers(0, width, count), rng.integers(0, height, count), t_us, rng.integers(0, 2, count))
    return Recording(events=events, width=width, height=height, stop_us=100_000)


NAMES = ["clap/0.h5", "clap/1.npz", "wave/0.txt", "wave/deeper/1.h5"]


@pytest.fixture
def folder(tmp_path):
    """Two gestures, each recorded twice, in three formats, among other files."""
    path = tmp_path / "gestures"
    for seed, name in enumerate(NAMES):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        files.write(path / name, a_recording(seed))
    (path / "clap" / ".hidden.h5").write_bytes(b"no recording")
    (path / "clap" / "notes.md").write_text("no recording either")
    return path


# Recordings


def test_a_folder_is_a_data_set_of_its_recordings(folder):
    """In order of their names; the sub-folders, in order of the alphabet, are classes 0 and 1."""
    data = EventFolder(folder)
    assert isinstance(data, tonic.Dataset)
    assert len(data) == 4
    assert data.classes == ["clap", "wave"]
    assert data.sensor_size == (WIDTH, HEIGHT, 2)
    assert data.ordering == ("x", "y", "t", "p")
    for seed, (events, label) in enumerate(data):
        np.testing.assert_array_equal(events, a_recording(seed).events)
        assert label == seed // 2
        assert events.dtype == EVENT_DTYPE
    assert data.recording(0).stop_us == 100_000


def test_the_sensor_is_the_smallest_that_all_recordings_fit_on(folder):
    files.write(folder / "wave" / "wide.h5", a_recording(9, width=40, height=5))
    assert EventFolder(folder).sensor_size == (40, HEIGHT, 2)


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_a_manifest_names_recordings_and_labels(folder, suffix):
    """Paths are from its folder; labels by name are numbered, those by number stay."""
    rows = [("wave/0.txt", "hello"), ("clap/0.h5", "bravo"), ("wave/deeper/1.h5", "hello")]
    manifest = folder / f"manifest.{suffix}"

    def write(rows):
        if suffix == "jsonl":
            manifest.write_text("".join(json.dumps({"path": p, "label": n, "more": 1}) + "\n" for p, n in rows) + "\n")
        else:
            manifest.write_text("label,path\n" + "".join(f"{n},{p}\n" for p, n in rows))

    write(rows)
    data = EventFolder(manifest)
    assert (data.classes, data.targets) == (["bravo", "hello"], [1, 0, 1])
    np.testing.assert_array_equal(data[1][0], a_recording(0).events)
    write([(path, 3 * number) for number, (path, _) in enumerate(rows)])
    data = EventFolder(manifest)
    assert data.targets == [0, 3, 6]
    assert [data.classes[target] for target in data.targets] == ["0", "3", "6"]


def test_a_folder_that_convert_video_made_has_the_labels_of_its_list(folder):
    """labels.csv, as `--labels from-folders` leaves it, counts, and is no recording itself."""
    (folder / "labels.csv").write_text("path,label\nwave/0.txt,bye\nclap/0.h5,applause\n")
    (folder / "manifest.jsonl").write_text("")
    data = EventFolder(folder)
    assert (data.classes, data.targets) == (["applause", "bye"], [1, 0])
    assert len(EventFolder(folder, labels=lambda path: 0)) == 4


def test_shards_are_one_data_set_with_the_same_classes(folder):
    """A part of its own would number what it has: dog alone would be class 0."""
    (folder / "labels-1-of-2.csv").write_text("path,label\nwave/0.txt,dog\n")
    (folder / "labels-2-of-2.csv").write_text("path,label\nclap/0.h5,cat\nwave/0.txt,dog\n")
    data = EventFolder(folder)
    assert (data.classes, data.targets) == (["cat", "dog"], [1, 0])


def test_a_manifest_of_convert_video_lists_what_is_done(folder):
    rows = [
        {"output": "wave/0.txt", "label": "a", "status": "done"},
        {"output": "clap/broken.h5", "label": "b", "status": "failed"},
    ]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert EventFolder(folder / "manifest.jsonl").classes == ["a"]


def test_folders_of_files_are_recordings(tmp_path):
    (tmp_path / "one").mkdir()
    files.write(tmp_path / "one" / "a.evreal", a_recording(0))
    data = EventFolder(tmp_path)
    assert len(data) == 1
    np.testing.assert_array_equal(data[0][0], a_recording(0).events)


def test_labels_may_come_from_a_function(folder):
    data = EventFolder(folder, labels=lambda path: path.suffix)
    assert data.classes == [".h5", ".npz", ".txt"]
    assert data.targets == [0, 1, 2, 0]


def test_a_folder_without_folders_is_one_class(tmp_path):
    files.write(tmp_path / "a.h5", a_recording(0))
    data = EventFolder(tmp_path)
    assert (data.classes, data.targets) == ([tmp_path.name], [0])


def test_transforms_of_data_and_label_are_tonic_s(folder):
    """transform sees the events, target_transform the label, and then transforms both."""
    data = EventFolder(
        folder,
        transform=transforms.ToImage((WIDTH, HEIGHT, 2)),
        target_transform=tonic_transforms.ToOneHotEncoding(2),
        transforms=lambda image, target: (image.sum(), target.tolist()),
    )
    assert data[3] == (200, [0, 1])


@pytest.mark.parametrize(
    "transform",
    [
        tonic_transforms.ToFrame(sensor_size=(WIDTH, HEIGHT, 2), n_event_bins=4),
        tonic_transforms.ToVoxelGrid(sensor_size=(WIDTH, HEIGHT, 2), n_time_bins=4),
        tonic_transforms.Denoise(filter_time=10_000),
        tonic_transforms.RandomFlipLR(sensor_size=(WIDTH, HEIGHT, 2), p=1),
        tonic_transforms.TimeJitter(std=10, sort_timestamps=True),
        tonic_transforms.NumpyAsType(int),
        transforms.ToFrame(sensor_size=(WIDTH, HEIGHT, 2), n_time_bins=4),
    ],
    ids=lambda transform: type(transform).__name__,
)
def test_tonic_s_wrappers_take_it(folder, tmp_path, transform):
    """Cached in memory and on disk, at the first look and at the second, a sample is what it is without."""
    data = EventFolder(folder, transform=transform)
    np.random.seed(0)  # noqa: NPY002  (tonic draws from here)
    expected = data[2][0]
    for cached in (
        tonic.MemoryCachedDataset(data),
        tonic.DiskCachedDataset(data, cache_path=str(tmp_path / "cache")),
    ):
        np.random.seed(0)  # noqa: NPY002
        for _ in range(2):
            sample, label = cached[2]
            np.testing.assert_array_equal(sample, expected)
            assert label == 1


def test_slices_hold_each_event_of_each_recording_once(folder, tmp_path):
    """Events cut by 20 000 us from the first; the slices of a recording joined are the recording."""
    slicer = tonic.slicers.SliceByTime(time_window=20_000, include_incomplete=True)
    sliced = tonic.SlicedDataset(EventFolder(folder), slicer=slicer)
    cached = tonic.DiskCachedDataset(sliced, cache_path=str(tmp_path / "slices"))
    joined = np.concatenate([cached[k][0] for k in range(len(cached))])
    np.testing.assert_array_equal(joined, np.concatenate([a_recording(seed).events for seed in range(4)]))
    assert sorted({int(cached[k][1]) for k in range(len(cached))}) == [0, 1]


def test_torch_loads_it_in_several_processes(folder):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    data = EventFolder(folder, transform=transforms.ToFrame((WIDTH, HEIGHT, 2), n_time_bins=4))
    batches = list(torch.utils.data.DataLoader(data, batch_size=4, num_workers=2))
    frames, labels = batches[0]
    assert frames.shape == (4, 4, 2, HEIGHT, WIDTH)
    assert frames.sum(dim=(1, 2, 3, 4)).tolist() == [200] * 4
    assert labels.tolist() == [0, 0, 1, 1]


def test_what_is_not_there_is_said(folder, tmp_path):
    with pytest.raises(InputError, match="nowhere does not exist; give a folder, or a manifest"):
        EventFolder(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty holds no file that ends in one of .*\.npz"):
        EventFolder(tmp_path / "empty")
    with pytest.raises(ParameterError, match="labels is 'from-names', expected 'from-folders' or a function"):
        EventFolder(folder, labels="from-names")
    files.write(folder / "stray.h5", a_recording(0))
    with pytest.raises(InputError, match=r"stray\.h5 is in no sub-folder, so it has no label"):
        EventFolder(folder)
    with pytest.raises(FormatError, match=r"stray\.h5 is no manifest"):
        EventFolder(folder / "stray.h5")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", '{"path": "clap/0.h5", "label": 1}\n{"path": ', "line 2 is not JSON"),
        ("a.jsonl", '["clap/0.h5", 1]\n', "line 1: .* expected the fields path and label"),
        ("a.jsonl", '{"path": "clap/0.h5"}\n', "line 1: .* expected the fields path and label"),
        ("a.csv", "path,label\nclap/7.h5,1\n", "line 2: .*7.h5 does not exist; paths are from the folder"),
        ("a.csv", "file,label\nclap/0.h5,1\n", "line 2: .* expected the fields path and label"),
        ("a.csv", "path,label\n", "holds no file"),
    ],
)
def test_a_manifest_that_is_wrong_says_where(folder, name, text, message):
    (folder / name).write_text(text)
    with pytest.raises(InputError, match=message):
        EventFolder(folder / name)


# Videos


def film(path, seed=0, frames=6):
    """A bright square that moves, at 50 frames a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=50)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "gray"
        for k in range(frames):
            image = np.full((24, 32), 60, np.uint8)
            image[6:14, 2 * k + seed : 2 * k + seed + 8] = 200
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="gray")))
        container.mux(stream.encode())


@pytest.fixture
def videos(tmp_path):
    for seed, name in enumerate(["left/a.mkv", "right/b.mkv"]):
        film(tmp_path / "videos" / name, seed)
    return tmp_path / "videos"


def test_a_video_is_converted_when_it_is_first_asked_for(videos, tmp_path):
    """Once; its events are those of `dvs.convert` with the same options and the seed that the file names."""
    cache = tmp_path / "cache"
    data = VideoDataset(videos, cache=cache, sensor="ideal", threads=1)
    assert not cache.exists()
    assert (len(data), data.classes, data.targets) == (2, ["left", "right"], [0, 1])
    assert data.sensor_size == (32, 24, 2)
    assert not cache.exists()
    events, label = data[1]
    assert label == 1
    (kept,) = cache.iterdir()
    written = kept.stat().st_mtime_ns
    np.testing.assert_array_equal(data[1][0], events)
    assert [(file, file.stat().st_mtime_ns) for file in cache.iterdir()] == [(kept, written)]
    seed = data.recording(1).provenance["seed"]
    convert(
        Conversion(
            source=str(videos / "right" / "b.mkv"),
            outputs=(Output(path=tmp_path / "own.h5"),),
            sensor=load_sensor("ideal"),
            seed=seed,
        )
    )
    np.testing.assert_array_equal(events, files.read(tmp_path / "own.h5").events)
    assert events.size


def cached_names(videos, cache, **options):
    data = VideoDataset(videos, cache=cache, **options)
    for index in range(len(data)):
        data.recording(index)
    return {file.name for file in cache.iterdir()}


def test_a_changed_setting_or_video_is_converted_anew(videos, tmp_path):
    """Two files more for each setting, one more for one video; none for what makes no difference."""
    cache = tmp_path / "cache"
    names = cached_names(videos, cache, sensor="ideal")
    assert len(names) == 2
    assert cached_names(videos, cache, sensor="ideal", threads=2) == names
    assert len(cached_names(videos, cache, sensor="ideal", stop_s=0.08)) == 4
    assert len(cached_names(videos, cache, sensor="ideal", seed=1)) == 6
    film(videos / "left" / "a.mkv", seed=3)
    assert len(cached_names(videos, cache, sensor="ideal")) == 7
    (videos / "left" / "a.mkv").rename(videos / "left" / "renamed.mkv")
    assert len(cached_names(videos, cache, sensor="ideal")) == 7


def test_videos_have_noise_of_their_own(tmp_path):
    """Two films that differ in their last frame only: the noise of the first pixels differs from the beginning."""
    film(tmp_path / "videos" / "a.mkv", frames=5)
    film(tmp_path / "videos" / "b.mkv", frames=6)
    noisy = replace(load_sensor("ideal"), name="noisy", shot_noise_hz=50.0)
    data = VideoDataset(tmp_path / "videos", cache=tmp_path / "cache", sensor=noisy, stop_s=0.08)
    first, second = (data[index][0] for index in range(2))
    assert first.size > 100
    assert first.tobytes() != second.tobytes()


def look(data, index):
    return data[index][0].tobytes()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_several_processes_share_a_cache(videos, tmp_path, method):
    """Four ask for the same two videos at once: each gets the events, and two files are left."""
    data = VideoDataset(videos, cache=tmp_path / "cache", sensor="ideal", threads=1)
    with multiprocessing.get_context(method).Pool(2) as pool:
        seen = pool.starmap(look, [(data, 0), (data, 0), (data, 1), (data, 1)], chunksize=1)
    assert seen == [look(data, 0), look(data, 0), look(data, 1), look(data, 1)]
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_video_that_cannot_be_read_leaves_nothing(videos, tmp_path):
    (videos / "left" / "a.mkv").write_bytes(b"no video")
    data = VideoDataset(videos, cache=tmp_path / "cache", sensor="ideal")
    with pytest.raises(FormatError, match=r"a\.mkv is not a complete video"):
        data[0]
    assert not list((tmp_path / "cache").iterdir())
    assert data[1][0].size


def test_an_option_that_no_conversion_has_is_refused(videos, tmp_path):
    with pytest.raises(ParameterError, match=r"sensors is no option of a conversion; choose from crop, .*sensor"):
        VideoDataset(videos, cache=tmp_path / "cache", sensors="ideal")


def test_a_data_set_goes_to_another_process_as_it_is(folder, videos, tmp_path):
    for data in (EventFolder(folder), VideoDataset(videos, cache=tmp_path / "cache", sensor="ideal")):
        there = pickle.loads(pickle.dumps(data))
        np.testing.assert_array_equal(there[1][0], data[1][0])


# The way back


@pytest.mark.parametrize(
    "dtype",
    [
        [("x", "i2"), ("y", "i2"), ("t", "i8"), ("p", "?")],
        [("t", "u8"), ("x", "u2"), ("y", "u2"), ("p", "u1")],
        [("p", int), ("t", int), ("x", int), ("y", int)],
        [("y", "i4"), ("p", "i1"), ("x", "i4"), ("t", "i4")],
    ],
    ids=str,
)
@pytest.mark.parametrize("off", [0, -1])
def test_any_layout_of_tonic_is_a_recording(dtype, off):
    """Fields in any order, p bool, 0/1 or, where the dtype has it, -1/+1."""
    expected = a_recording(0)
    raw = np.empty(len(expected), dtype)
    for name in "xyt":
        raw[name] = expected.events[name]
    signed = raw["p"].dtype.kind == "i"
    raw["p"] = np.where(expected.events["p"] == 1, 1, off if signed else 0)
    recording = from_tonic(raw, sensor_size=(WIDTH, HEIGHT, 2), stop_us=100_000)
    np.testing.assert_array_equal(recording.events, expected.events)
    assert (recording.width, recording.height, recording.stop_us) == (WIDTH, HEIGHT, 100_000)


def test_events_out_of_order_are_sorted_on_request_only():
    raw = make_events([1, 2, 3], [0, 0, 0], [5, 9, 4], [1, 0, 1])
    with pytest.raises(InputError, match=r"events\[2\] is at 4 us, before .* \(9 us\); give sort=True"):
        from_tonic(raw, sensor_size=(4, 1, 2))
    assert from_tonic(raw, sensor_size=(4, 1, 2), sort=True).events["x"].tolist() == [3, 1, 2]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"p": 2}, r"polarities are \[2\], expected bool, 0/1 or -1/\+1"),
        ({"x": 4}, r"x = 4, outside the 4x1 sensor"),
        ({"x": 70_000}, r"x goes from 70000 to 70000"),
        ({"t": 1.5}, r"expected whole microseconds"),
    ],
)
def test_what_is_no_event_is_refused(columns, message):
    values = {"x": 1, "y": 0, "t": 1, "p": 1} | columns
    raw = np.zeros(1, [(name, type(value)) for name, value in values.items()])
    for name, value in values.items():
        raw[name] = value
    with pytest.raises(InputError, match=message):
        from_tonic(raw, sensor_size=(4, 1, 2))


class Taps(tonic.Dataset):
    """As tonic's own: the k-th sample taps pixel k, k + 1 times, 10 ms apart; p is bool and the fields out of order."""

    sensor_size = (3, 1, 2)

    def __init__(self, transform=None):
        super().__init__("nowhere", transform=transform)

    def __len__(self):
        return 3

    def __getitem__(self, index):
        if index >= 3:
            raise IndexError
        raw = np.zeros(index + 1, [("t", "u8"), ("p", "?"), ("y", "u2"), ("x", "u2")])
        raw["t"], raw["p"], raw["x"] = 10_000 * np.arange(1, index + 2), True, index
        return raw if self.transform is None else self.transform(raw), index


@pytest.fixture
def brian():
    import brian2

    kept = brian2.prefs.codegen.target
    brian2.prefs.codegen.target = "numpy"
    brian2.BrianLogger.suppress_name("unused_brian_object")
    brian2.start_scope()
    yield brian2
    brian2.get_device().reinit()
    brian2.prefs.codegen.target = kept


def test_a_network_sees_any_tonic_data_set(brian):
    """Input neuron k spikes k + 1 times in sample k, on the ON side; the labels come along."""
    import snn

    eye = snn.EventInput(width=3, height=1, dt=1 * brian.ms, polarity="on")
    data = Taps(transform=partial(from_tonic, sensor_size=Taps.sensor_size))
    seen = snn.run(brian.Network(eye.group), data, input=eye, duration=50 * brian.ms, record="all", progress=False)
    np.testing.assert_array_equal(seen.spikes["input"].counts(), np.diag([1, 2, 3]))
    assert seen.labels.tolist() == [0, 1, 2]


def test_a_network_sees_a_folder_of_recordings(brian, folder):
    """Each event of a recording is a spike or one too many in its step."""
    import snn

    eye = snn.EventInput(width=WIDTH, height=HEIGHT, dt=1 * brian.ms, collisions="first")
    data = EventFolder(folder)
    seen = snn.run(brian.Network(eye.group), data, input=eye, duration=101 * brian.ms, record="all", progress=False)
    for k, counts in enumerate(seen.spikes["input"].counts()):
        events = a_recording(k).events
        neuron = (events["p"].astype(int) * HEIGHT + events["y"]) * WIDTH + events["x"]
        steps = {(n, t) for n, t in zip(neuron.tolist(), (events["t"] // 1000).tolist(), strict=True)}
        np.testing.assert_array_equal(counts, np.bincount([n for n, _ in steps], minlength=counts.size))
    assert seen.labels.tolist() == [0, 0, 1, 1]


def test_real_digits_of_tonic_s_kind_are_recordings(shared_data):
    """N-MNIST: 34 x 34 pixels, about 300 ms; the events survive, and frames hold every one."""
    digits = np.load(shared_data / "labelled" / "nmnist_train1000.npz")
    first, end = digits["offsets"][:2]
    raw = np.zeros(end - first, [("x", int), ("y", int), ("t", int), ("p", int)])
    for name in "xyp":
        raw[name] = digits[name][first:end]
    raw["t"] = np.cumsum(digits["dt"][first:end])
    recording = from_tonic(raw, sensor_size=(34, 34, 2))
    assert len(recording) == end - first > 1000
    assert 0.2 < recording.duration_s < 0.4
    assert transforms.ToFrame((34, 34, 2), n_time_bins=30)(raw).sum() == end - first
