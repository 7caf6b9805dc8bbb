"""What all HDF5 layouts need: to survive a full disk, and to name a missing filter."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvs.errors import MissingExtraError
from dvs.files.attributes import ATTRIBUTES

if TYPE_CHECKING:
    import h5py

# h5py's "gzip" at its default level 4, after reordering the bytes of neighbouring numbers:
# every HDF5 library reads it without a plug-in.
COMPRESSION = {"compression": "gzip", "shuffle": True}


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


def readable(dataset: "h5py.Dataset") -> "h5py.Dataset":
    """The same data set; raises `MissingExtraError` for a compression that h5py lacks."""
    import h5py

    with suppress(ImportError):
        import hdf5plugin  # noqa: F401  (importing it registers its filters)

    created = dataset.id.get_create_plist()
    filters = [created.get_filter(index)[0] for index in range(created.get_nfilters())]
    if not all(map(h5py.h5z.filter_avail, filters)):
        raise MissingExtraError(
            f"{dataset.file.filename} has a compression that h5py lacks, as Blosc is: pip install hdf5plugin"
        )
    return dataset


def root_attributes(path: Path) -> dict[str, Any]:
    """Those of our attributes that the file itself has."""
    import h5py

    with h5py.File(path) as file:
        return {name: file.attrs[name] for name in ATTRIBUTES if name in file.attrs}
