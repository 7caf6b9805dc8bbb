"""Events in HDF5, chunk by chunk: HDF5 moves the bytes of a chunk, threads of our own compress and decode them.

HDF5 has one lock for everything, so its own filters work in one thread. A chunk behind the filters that every HDF5
library has (shuffle, gzip) is an ordinary zlib stream (RFC 1950) of shuffled bytes, whoever makes it: ISA-L (package
isal) makes it four times as fast as zlib, libdeflate (package deflate) reads it twice as fast. What lies behind other
filters is read by HDF5.

Source: HDF5 File Format Specification 3.0 (The HDF Group), "Filter Pipeline Message" and "Chunked storage".
"""

import operator
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dvs.errors import FormatError
from dvs.events import EventArray, empty_events, join_events
from dvs.files.hdf5 import filters_of, readable, safe
from dvs.files.prepared import prepared_events
from dvs.files.spool import BLOCK

# Without these two small libraries the files are as good, only slower to write and to read.
try:
    from isal.isal_zlib import compress
except ImportError:
    from zlib import compress
try:
    from deflate import DeflateError
    from deflate import zlib_decompress as inflate
except ImportError:
    from zlib import decompress
    from zlib import error as DeflateError  # noqa: N812

    def inflate(content: bytes, size: int) -> bytes:
        """The bytes of a zlib stream, as a rule of this size."""
        return decompress(content, bufsize=size)


if TYPE_CHECKING:
    import h5py

GZIP = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
THREADS = min(os.cpu_count() or 1, 4)

DEFLATE, SHUFFLE = 1, 2  # HDF5's numbers of its filters
EXPANSION = 1032  # bytes that one byte of deflate can become at most (zlib, "Technical Details")
MAX_MS = 10**9  # 11.6 days, an index of 8 GB: whatever is longer has a wrong time in it
LARGE = 1 << 26  # bytes; a chunk is rarely larger
PIXELS = (0, 2**15 - 1)
BROKEN = (OSError, ValueError, LookupError, ArithmeticError, TypeError, RuntimeError, DeflateError)

Item = TypeVar("Item")
Result = TypeVar("Result")
Decoder = Callable[[bytes], NDArray[Any]]  # the bytes of a chunk into its rows; in any thread


def in_order(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`work(item)` of each item, done in threads, in the order of the items; only a few are under way at a time."""
    with ThreadPoolExecutor(THREADS) as pool:
        waiting = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) == THREADS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for result in waiting:
                result.cancel()


def deflated(rows: NDArray[Any], step: int) -> bytes:
    """Rows, at most `step`, as the bytes of a chunk of `step` rows behind the filters of `GZIP`."""
    if len(rows) < step:
        rows = np.concatenate([rows, np.zeros((step - len(rows), *rows.shape[1:]), rows.dtype)])
    rows = np.ascontiguousarray(rows)
    planes = rows.reshape(-1).view(np.uint8).reshape(-1, rows.itemsize).T  # first bytes, second bytes, ...
    return compress(np.ascontiguousarray(planes), 1)


def inflater(dataset: "h5py.Dataset") -> Decoder | None:
    """What undoes the filters of a data set, if these are the ones that every HDF5 library has."""
    filters = filters_of(dataset)
    plain = dataset.dtype.kind in "iubV" and dataset.dtype.isnative and not dataset.dtype.hasobject
    # A chunk of some columns only is put together with the others by HDF5.
    whole = dataset.chunks and dataset.chunks[1:] == dataset.shape[1:]
    if not plain or not whole or filters not in ([], [DEFLATE], [SHUFFLE], [SHUFFLE, DEFLATE]):
        return None
    shape, dtype = dataset.chunks, dataset.dtype
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize

    def decode(content: bytes) -> NDArray[Any]:
        if DEFLATE in filters:
            if size > EXPANSION * (len(content) + 64):
                raise ValueError(f"{len(content)} bytes cannot hold a chunk of {size}")
            content = inflate(content, size)
        if len(content) != size:
            raise ValueError(f"a chunk has {len(content)} bytes, expected {size}")
        if SHUFFLE in filters and dtype.itemsize > 1:
            planes = np.frombuffer(content, np.uint8).reshape(dtype.itemsize, -1)
            content = np.empty(planes.shape[::-1], np.uint8)
            for byte, plane in enumerate(planes):  # one by one: four times as fast as copying planes.T
                content[:, byte] = plane
        return np.frombuffer(content, dtype).reshape(shape)

    return decode


class Rows:
    """Rows of a data set: fetched by the thread that reads the file, decoded in any.

    Without a decoder those filters are undone here that every HDF5 library has, and others by HDF5.
    Raises `MissingExtraError` for a compression that h5py lacks.
    """

    def __init__(self, dataset: "h5py.Dataset", decoder: Decoder | None = None) -> None:
        self.dataset = dataset
        self.name = f"{dataset.file.filename}: {dataset.name}"
        if getattr(dataset, "ndim", 0) == 0:
            raise FormatError(f"{self.name} is a single value or a group, expected a value for each event")
        if dataset.external or dataset.is_virtual:  # any number of rows, of which nothing tells how many there are
            raise FormatError(f"{self.name} lies in other files; copy it into one with h5repack")
        self.length = dataset.shape[0]
        self._rest = (0,) * (dataset.ndim - 1)
        self.step = dataset.chunks[0] if dataset.chunks else BLOCK
        self._decoder = decoder or inflater(dataset)
        if self._decoder is None:
            readable(dataset)
        # HDF5 fills with zeros whatever is missing, and where all is, h5py makes room for a chunk of any size.
        stored, self._room = dataset.id.get_storage_size(), dataset.file.id.get_filesize()
        if self._decoder is None or stored == 0:
            self.believe()
        # The table of chunks is damaged, and HDF5 makes room for chunks of any size: each of them is looked at.
        self._doubtful = stored > self._room

    def believe(self) -> None:
        """Raise `FormatError` where the data set claims more rows than the file can hold."""
        stored = min(self.dataset.id.get_storage_size(), self._room)
        row = self.dataset.dtype.itemsize * int(np.prod(self.dataset.shape[1:], dtype=object))
        if self.dataset.chunks:
            chunks, most = self.dataset.id.get_num_chunks(), max(LARGE, EXPANSION * stored) // max(row, 1)
            held = chunks * self.step if self.step <= most else most
        else:
            held = stored // max(row, 1)
        if held < self.length:
            raise FormatError(
                f"{self.name} claims {self.length} rows, but the file holds {held} at most; it is damaged"
            )

    def fetch(self, first: int, stop: int) -> list[tuple[int, Any]]:
        """The parts that make up rows `first` to `stop`: where each begins, and its bytes, its rows or an error."""
        if self._decoder is not None:
            return [(at, self._get(self._chunk, at)) for at in range(first // self.step * self.step, stop, self.step)]
        if not self._doubtful:
            whole = self._get(lambda at: self.dataset[at:stop], first)
            if not isinstance(whole, Exception):
                return [(first, whole)]
        # One bad chunk spoils all: take what is in front of it.
        edges = [first, *range((first // self.step + 1) * self.step, stop, self.step), stop]
        ends = dict(pairwise(edges))
        return [(at, self._get(lambda at: self._whole(at)[at : ends[at]], at)) for at in ends]

    def _get(self, get: Callable[[int], Any], first: int) -> Any:
        try:
            return get(first)
        except BROKEN as error:
            return error

    def _chunk(self, first: int) -> Any:
        skipped_filters, content = self._whole(first).id.read_direct_chunk(self._corner(first))
        return self.dataset[first : first + self.step] if skipped_filters else content

    def _whole(self, row: int) -> "h5py.Dataset":
        """The data set; raises `ValueError` where the chunk of a row claims to be longer than the file."""
        if self._doubtful:
            size = self.dataset.id.get_chunk_info_by_coord(self._corner(row)).size
            if size > self._room:
                raise ValueError(f"a chunk of {size} bytes in a file of {self._room}")
        return self.dataset

    def _corner(self, row: int) -> tuple[int, ...]:
        return row // self.step * self.step, *self._rest

    def decode(self, parts: list[tuple[int, Any]], first: int, stop: int) -> tuple[NDArray[Any], FormatError | None]:
        """The rows from `first` on: up to `stop`, or up to damage and what it is."""
        good = []
        for at, content in parts:
            try:
                if isinstance(content, Exception):
                    raise content
                rows = self._decoder(content) if isinstance(content, bytes) else content
                good.append(rows[max(first - at, 0) : stop - at])
                if len(rows) < min(self.step, stop - at):
                    raise ValueError(f"{len(rows)} rows came")
            except BROKEN as error:
                return self._joined(good), self._damage(at, error)
        return self._joined(good), None

    def _joined(self, parts: list[NDArray[Any]]) -> NDArray[Any]:
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return np.empty((0, *self.dataset.shape[1:]), self.dataset.dtype)
        # As raw bytes: NumPy copies records field by field.
        raw = np.concatenate([np.ascontiguousarray(part).reshape(-1).view(np.uint8) for part in parts])
        return raw.view(parts[0].dtype).reshape(-1, *self.dataset.shape[1:])

    def _damage(self, row: int, error: Exception) -> FormatError:
        try:
            where = f", byte {self.dataset.id.get_chunk_info_by_coord(self._corner(row)).byte_offset}"
        except BROKEN:  # not in chunks, or the chunk is missing
            where = ""
        return FormatError(f"{self.name} is damaged from row {row} on{where}: {' '.join(str(error).split())}")


@dataclass(frozen=True, kw_only=True)
class EventRows:
    """Events that lie in the rows of one data set, or of four.

    columns: the arrays x, y, t and p of one array from each data set. The data set `clock` alone decides on times.
    """

    rows: tuple[Rows, ...]
    columns: Callable[..., tuple[NDArray[Any], ...]]
    times: Callable[[NDArray[Any]], NDArray[Any]]
    clock: int = 0
    offset_us: int = 0

    @property
    def length(self) -> int:
        """Number of events, as far as all data sets reach."""
        return min(rows.length for rows in self.rows)

    @property
    def step(self) -> int:
        """Events that are read in one go: whole chunks, and some ten thousand."""
        step = max(rows.step for rows in self.rows)
        return step * max(1, BLOCK // step)

    def events(self) -> EventArray:
        """All events in the order of the file; raises `FormatError` where it is damaged."""
        for rows in self.rows:
            rows.believe()
        with prepared_events(self.length) as room:
            for _ in self.blocks(room=room):
                pass
        return room

    def blocks(self, first: int = 0, stop: int | None = None, room: EventArray | None = None) -> Iterator[EventArray]:
        """The events `first` to `stop` in the order of the file; `FormatError` after the last that is good.

        room: an array for all events of the file, in which they are left.
        """
        stop = self.length if stop is None else min(stop, self.length)
        spans = ((at, min(at + self.step, stop)) for at in range(first, stop, self.step))
        fetched = ((at, end, [rows.fetch(at, end) for rows in self.rows]) for at, end in spans)
        for events, problem in in_order(lambda job: self._events(*job, room), fetched):
            if events.size:
                yield events
            if problem is not None:
                raise problem
        longest = max(rows.length for rows in self.rows)
        if stop == self.length < longest:
            raise FormatError(
                f"{self.rows[0].name} and its like have {self.length} to {longest} rows, expected as many"
            )

    def _events(
        self, first: int, stop: int, parts: list[Any], room: EventArray | None
    ) -> tuple[EventArray, FormatError | None]:
        decoded = [rows.decode(part, first, stop) for rows, part in zip(self.rows, parts, strict=True)]
        short = min(range(len(decoded)), key=lambda index: len(decoded[index][0]))
        count, problem = len(decoded[short][0]), decoded[short][1]
        room = empty_events(count) if room is None else room[first : first + count]
        columns = self.columns(*(array[:count] for array, _ in decoded))
        events, wrong = events_of(*columns, self.offset_us, room)
        if wrong is not None:
            problem = FormatError(f"{self.rows[0].name} is damaged from row {first + events.size} on: {wrong}")
        return events, problem

    def between(self, start_us: int, stop_us: int, guess: Callable[[int], int | None] = lambda us: None) -> EventArray:
        """The events of [start_us, stop_us) of a file in order of time.

        guess: number of the first event at or after a time, from an index of the file that may be wrong; or None.
        """
        known: dict[int, int] = {}

        def time_of(step: int) -> int:
            """Time of the first event of a step."""
            if step not in known:
                first = step * self.step
                rows = self.rows[self.clock]
                array, problem = rows.decode(rows.fetch(first, first + 1), first, first + 1)
                if problem is not None:
                    raise problem
                known[step] = int(self.times(array)[0]) + self.offset_us
            return known[step]

        def last_step_before(us: int) -> int:
            """The last step that begins before the time, so that no event at or after it lies in front."""
            low, high, stride = 0, -(-self.length // self.step), 1
            hint = guess(us)
            if hint is not None:
                hint = min(max(hint - 1, 0) // self.step, high - 1)
                low, high = (hint, high) if hint == 0 or time_of(hint) < us else (0, hint)
                while low + stride < high and time_of(low + stride) < us:
                    low, stride = low + stride, 2 * stride
                high = min(low + stride, high)
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if time_of(middle) < us else (low, middle)
            return low

        if self.length == 0 or stop_us <= start_us:
            return empty_events()
        first, last = last_step_before(start_us), last_step_before(stop_us)
        events = join_events(list(self.blocks(first * self.step, (last + 1) * self.step)))
        if (events["t"][1:] < events["t"][:-1]).any():
            raise FormatError(f"{self.rows[0].name} is out of order of time; read it with dvs.read, which sorts")
        return events[slice(*np.searchsorted(events["t"], [start_us, stop_us]))]


def event_columns(file: "h5py.File", group: str, offset_us: int = 0) -> EventRows:
    """The events in four data sets x, y, t and p of a group."""
    return EventRows(
        rows=tuple(Rows(file[f"{group}/{name}"]) for name in "xytp"),
        columns=lambda *columns: columns,
        times=lambda t: t,
        clock=2,
        offset_us=offset_us,
    )


def event_records(dataset: "h5py.Dataset", decoder: Decoder | None = None) -> EventRows:
    """The events in one data set with the fields x, y, t and p."""
    return EventRows(
        rows=(Rows(dataset, decoder),),
        columns=lambda records: tuple(records[name] for name in "xytp"),
        times=lambda records: records["t"],
    )


def array_of(dataset: "h5py.Dataset") -> NDArray[Any]:
    """All of a data set; raises `FormatError` for one that claims more than the file can hold."""
    Rows(dataset).believe()
    return dataset[:]


def pieces(start: int, stop: int) -> Iterator[NDArray[np.int64]]:
    """start, start + 1, ..., stop - 1 in pieces: a silent hour has 3.6 million milliseconds."""
    for first in range(start, stop, BLOCK):
        yield np.arange(first, min(first + BLOCK, stop))


def milliseconds(file: "h5py.File", name: str, offset_us: int = 0) -> Callable[[int], int | None]:
    """Guess of the first event at or after a time, from an index with one number for each ms after the offset."""

    def guess(us: int) -> int | None:
        try:
            index = safe(file[name])
            return operator.index(index[min(max((us - offset_us) // 1000, 0), len(index) - 1)])
        except (*BROKEN, AttributeError):  # there is no such index, or it is damaged: the events may be fine
            return None

    return guess


def events_of(
    x: NDArray[Any], y: NDArray[Any], t: NDArray[Any], p: NDArray[Any], offset_us: int, room: EventArray
) -> tuple[EventArray, str | None]:
    """Columns of shape (N,) as events in their order, put into `room` (N,): up to the first wrong number, told then.

    Polarities may be 0/1, -1/+1 or bool.
    """
    count, wrong = len(t), None
    limits = {"x": PIXELS, "y": PIXELS, "t": (-(2**63) - offset_us, 2**63 - 1 - offset_us), "p": (-1, 1)}
    for name, column in {"x": x, "y": y, "t": t, "p": p}.items():
        low, high = limits[name]
        if column.dtype.kind not in "iub":
            return room[:0], f"column {name} has dtype {column.dtype}, expected whole numbers"
        part = column[:count]
        if part.size and not (low <= int(part.min()) and int(part.max()) <= high):
            count = int(np.argmax((part < low) | (part > high)))
            wrong = f"{name} is {column[count]}, expected {low} to {high}"
    events = room[:count]
    events["x"], events["y"], events["t"] = x[:count], y[:count], t[:count]
    if offset_us:
        events["t"] += offset_us
    events["p"] = p[:count] > 0
    return events, wrong
