"""What all HDF5 layouts need: to survive a full disk, and to name a missing filter."""

import io
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvs.errors import FormatError, MissingExtraError
from dvs.files.attributes import ATTRIBUTES

if TYPE_CHECKING:
    import h5py

# h5py's "gzip" at its default level 4, after reordering the bytes of neighbouring numbers:
# every HDF5 library reads it without a plug-in.
COMPRESSION = {"compression": "gzip", "shuffle": True}

FLETCHER32 = 3  # HDF5's number of this check sum of four bytes
HEAP = b"GCOL\x01\0\0\0"
ENDS = 1 << 18  # bytes at either end of a file


class QuietFile(io.FileIO):
    """A file that keeps its first failure in `error` instead of raising it.

    HDF5 crashes the process when a write fails: the file can then neither be closed nor dropped.
    """

    error: OSError | None = None

    def write(self, data) -> int:  # noqa: ANN001  (the buffer type of io.RawIOBase)
        """Write all of the data, or keep the reason why not."""
        rest = memoryview(data).cast("B")
        while self.error is None and len(rest):
            try:
                rest = rest[super().write(rest) :]
            except OSError as error:
                self.error = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """Cut or extend the file, or keep the reason why not."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return self.tell()

    def check(self) -> None:
        """Raise the failure that was kept."""
        if self.error is not None:
            raise self.error


@contextmanager
def new_hdf5(path: Path) -> Iterator[tuple["h5py.File", QuietFile]]:
    """A new HDF5 file and the file it is written through; raises `OSError` when the disk failed."""
    import h5py

    with QuietFile(os.fspath(path), "w+b") as quiet:
        with h5py.File(quiet, "w") as file:
            yield file, quiet
        quiet.check()


@contextmanager
def opened(path: Path) -> Iterator["h5py.File"]:
    """An HDF5 file to read."""
    import h5py

    _refuse_endless(path)
    with h5py.File(path) as file:
        yield file


def _refuse_endless(path: Path) -> None:
    """Raise `FormatError` for a heap of texts that HDF5 (2.0 is the latest) would walk through for ever.

    In a heap of its size, objects follow each other: number (uint16), 6 bytes, length (uint64), content. Number 0 is
    what is free, its length counts the head too; where that is 0, HDF5 stays there. Heaps are looked for where files
    have them, at both ends. Source: HDF5 File Format Specification 3.0, "Global Heap".
    """
    with path.open("rb") as file:
        for start in {0, max(path.stat().st_size - ENDS, 0)}:
            file.seek(start)
            part = file.read(ENDS)
            heap = part.find(HEAP)
            while heap >= 0:
                stop = min(heap + int.from_bytes(part[heap + 8 : heap + 16], "little"), len(part))
                at = heap + 16
                while at + 16 <= stop:
                    number, length = struct.unpack_from("<H6xQ", part, at)
                    if number == length == 0:
                        raise FormatError(f"{path} is damaged: the heap of texts at byte {start + heap} does not end")
                    at += length if number == 0 else 16 + length + -length % 8
                heap = part.find(HEAP, at)


def filters_of(dataset: "h5py.Dataset") -> list[int]:
    """The numbers of its filters."""
    created = dataset.id.get_create_plist()
    return [created.get_filter(index)[0] for index in range(created.get_nfilters())]


def safe(dataset: "h5py.Dataset") -> "h5py.Dataset":
    """The same data set; raises `FormatError` for a chunk that has lost its check sum, at which HDF5 crashes."""
    if FLETCHER32 in filters_of(dataset):
        sizes: list[int] = []
        dataset.id.chunk_iter(lambda chunk: sizes.append(chunk.size))
        if min(sizes, default=4) < 4:
            raise FormatError(f"{dataset.file.filename}: {dataset.name} is damaged: a chunk has no check sum")
    return dataset


def readable(dataset: "h5py.Dataset") -> "h5py.Dataset":
    """The same data set; raises `MissingExtraError` for a compression that h5py lacks."""
    import h5py

    with suppress(ImportError):
        import hdf5plugin  # noqa: F401  (importing it registers its filters)

    if not all(map(h5py.h5z.filter_avail, filters_of(safe(dataset)))):
        raise MissingExtraError(
            f"{dataset.file.filename} has a compression that h5py lacks, as Blosc is: pip install hdf5plugin"
        )
    return dataset


def root_attributes(path: Path) -> dict[str, Any]:
    """Those of our attributes that the file itself has."""
    with opened(path) as file:
        return {name: file.attrs[name] for name in ATTRIBUTES if name in file.attrs}
