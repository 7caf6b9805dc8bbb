"""NumPy's .npz: one array for each column, as `np.load(path)["t"]` expects.

Arrays x, y (int16), t (int64, microseconds) and p (int8, 0 = OFF, 1 = ON), each of shape (N,);
scalars width, height, start_us, stop_us and the JSON text provenance. Columns, not one
structured array, because most event code takes them apart anyway and each compresses better
alone. Deflate level 1: four times the speed of `np.savez_compressed` for 4 % more bytes.
"""

import zipfile
from pathlib import Path

import numpy as np

from dvs.errors import FormatError
from dvs.events import EVENT_DTYPE, Recording
from dvs.files.attributes import Attributes, recording_from_columns
from dvs.files.format import Format
from dvs.files.spool import Spool


def write(path: Path, spool: Spool, attributes: Attributes) -> None:
    """Write the events, column after column."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in EVENT_DTYPE.names:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                header = {"descr": EVENT_DTYPE[name].str, "fortran_order": False, "shape": (len(spool),)}
                np.lib.format.write_array_header_1_0(member, header)
                for block in spool:
                    member.write(block[name].tobytes())
        for name, value in attributes.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, np.asarray(value))


def read(path: Path) -> Recording:
    """A recording from arrays x, y, t (whole microseconds) and p; the scalars may be missing."""
    with path.open("rb") as file, np.load(file) as archive:
        missing = [name for name in "xytp" if name not in archive]
        if missing:
            raise FormatError(f"{path} holds the arrays {archive.files}; expected x, y, t and p")
        columns = (archive[name] for name in "xytp")
        names = [name for name in archive.files if name not in EVENT_DTYPE.names and archive[name].ndim == 0]
        return recording_from_columns(*columns, {name: archive[name].item() for name in names})


FORMAT = Format(name="npz", suffixes=(".npz",), write=write, read=read, recognises=zipfile.is_zipfile)
