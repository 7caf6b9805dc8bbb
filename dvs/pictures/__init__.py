"""dvs.pictures: recordings drawn with Matplotlib, for a paper, a slide or a look.

    from dvs import pictures

    recording = dvs.read("street.h5")
    pictures.event_frame(recording).figure.savefig("street.png", dpi=200)
    pictures.space_time(recording[0:500_000], palette="metavision")

Each takes a recording (or one in its file from `dvs.open`, or bare events with `size=(width, height)`) and, if it is to
go into a figure that is there, `ax`. It returns the axes and opens no window. A part is drawn by giving a part:
`recording[t0:t1]`. Palettes are those of `dvs.palettes`.

This file is a table of names; each is imported when it is first used.
"""

from typing import TYPE_CHECKING

from dvs.lazy import lazy_names

_HOMES = {
    "dvs.pictures.compare": ("Agreement", "agreement", "comparison"),
    "dvs.pictures.frames": ("event_frame", "signed_counts", "time_surface"),
    "dvs.pictures.pixel": ("one_pixel",),
    "dvs.pictures.rates": ("event_rate", "pixel_raster"),
    "dvs.pictures.cloud": ("space_time", "time_slice"),
}

__all__, __getattr__, __dir__ = lazy_names(__name__, _HOMES)

if TYPE_CHECKING:
    from dvs.pictures.cloud import space_time, time_slice
    from dvs.pictures.compare import Agreement, agreement, comparison
    from dvs.pictures.frames import event_frame, signed_counts, time_surface
    from dvs.pictures.pixel import one_pixel
    from dvs.pictures.rates import event_rate, pixel_raster
