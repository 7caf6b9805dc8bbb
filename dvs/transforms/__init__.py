"""dvs.transforms: events into frames, grids and surfaces, and events into fewer and better events.

    from dvs import transforms

    denoise = transforms.Compose([transforms.RefractoryPeriod(delta=1_000), transforms.Denoise(filter_time=10_000)])
    frames = transforms.ToFrame(sensor_size=(346, 260, 2), time_window=10_000)(denoise(recording.events))

They have the names, parameters and results of tonic's transforms and take the same arrays: structured, with the
fields x, y, t and p in any order and of any dtype; p may be bool, 0/1 or -1/+1. Where tonic is wrong they are not,
and each says how it differs. None changes the array it is given. Those that make events of events go over streams
that never end too: see `Streamed`.

This file is a table of names; each is imported when it is first used.
"""

from typing import TYPE_CHECKING

from dvs.lazy import lazy_names

_HOMES = {
    "dvs.transforms.averaged_timesurface": ("ToAveragedTimesurface",),
    "dvs.transforms.compose": ("Compose",),
    "dvs.transforms.crop": ("CenterCrop", "Crop"),
    "dvs.transforms.decimation": ("Decimation",),
    "dvs.transforms.denoising": ("Denoise",),
    "dvs.transforms.downsampling": ("Downsample",),
    "dvs.transforms.flips": ("FlipLR", "FlipUD"),
    "dvs.transforms.framing": ("ToFrame", "ToImage"),
    "dvs.transforms.pixels": ("DropPixel",),
    "dvs.transforms.polarity": ("FlipPolarity", "MergePolarities", "OnlyPolarity"),
    "dvs.transforms.pooling": ("EventPooling",),
    "dvs.transforms.refractory": ("RefractoryPeriod",),
    "dvs.transforms.streamed": ("Streamed",),
    "dvs.transforms.timesurface": ("ToTimesurface",),
    "dvs.transforms.voxel_grid": ("ToVoxelGrid",),
}

__all__, __getattr__, __dir__ = lazy_names(__name__, _HOMES)

if TYPE_CHECKING:
    from dvs.transforms.averaged_timesurface import ToAveragedTimesurface
    from dvs.transforms.compose import Compose
    from dvs.transforms.crop import CenterCrop, Crop
    from dvs.transforms.decimation import Decimation
    from dvs.transforms.denoising import Denoise
    from dvs.transforms.downsampling import Downsample
    from dvs.transforms.flips import FlipLR, FlipUD
    from dvs.transforms.framing import ToFrame, ToImage
    from dvs.transforms.pixels import DropPixel
    from dvs.transforms.polarity import FlipPolarity, MergePolarities, OnlyPolarity
    from dvs.transforms.pooling import EventPooling
    from dvs.transforms.refractory import RefractoryPeriod
    from dvs.transforms.streamed import Streamed
    from dvs.transforms.timesurface import ToTimesurface
    from dvs.transforms.voxel_grid import ToVoxelGrid
