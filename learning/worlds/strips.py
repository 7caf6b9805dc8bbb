"""Event cameras of one row of pixels, as neurons.

A bar stands before a uniform background: over that, a pixel at c sees the log luminance
contrast exp(-(position - c)**2/2/width**2). Every 5 ms it compares what it sees with what it saw at its last event: for
each threshold of 0.2, with 3 % of mismatch between pixels, that this rose or fell there is an ON or an OFF event.

    motion       two neurons a pixel, ON and OFF: a spike for each event, one a step
    sustained    a neuron a pixel, which spikes by chance, at a rate in proportion to the sum of the pixel's events, ON
                 less OFF, that fades within a second

Where an episode ends the screen goes blank, and in the next one the bar appears.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from brian2 import Clock, Hz, NeuronGroup, Quantity, ms
from brian2.core.variables import VariableView
from numpy.typing import NDArray

from dvs.errors import ParameterError
from learning.td import WORLD_RESET_ORDER, control_clock

Without = Literal["motion", "sustained"]


@dataclass(frozen=True, kw_only=True)
class Strip:
    """A row of pixels that watches one variable of a world.

    watches: its name. farthest: the pixels reach from -farthest to farthest, in its unit. pixels: how many. width: of
    the bar, one standard deviation.
    """

    watches: str
    farthest: float
    pixels: int
    width: float

    def __post_init__(self) -> None:
        if self.pixels != int(self.pixels) or self.pixels < 2:
            raise ParameterError(f"a strip has {self.pixels} pixels, expected a whole number, 2 or more")
        if not (self.farthest > 0 and self.width > 0):
            raise ParameterError(f"farthest and width are {self.farthest} and {self.width}, expected numbers above 0")


@dataclass(frozen=True, kw_only=True, eq=False)
class Camera:
    """Eyes: `objects` go into a Network, `channels` to an agent.

    pixels: those of the first strip first; their `events` are those of the last frame, with sign. motion: ON channels,
    then OFF channels, of all pixels.
    """

    pixels: NeuronGroup
    motion: NeuronGroup
    sustained: NeuronGroup

    @property
    def channels(self) -> tuple[NeuronGroup, NeuronGroup]:
        """The groups that spike."""
        return self.sustained, self.motion

    @property
    def objects(self) -> tuple[NeuronGroup, ...]:
        """All groups."""
        return self.pixels, self.motion, self.sustained

    def ablation(self, without: Without) -> Mapping[VariableView, float]:
        """The variables that silence a channel, and their values."""
        if without not in get_args(Without):
            raise ParameterError(f"without is {without!r}, expected one of {list(get_args(Without))}")
        return {"motion": {self.motion.gain: 0.0}, "sustained": {self.sustained.gain: 0.0}}[without]


def strips(world: NeuronGroup, rows: Sequence[Strip], *, contrast: float = 4.0, **camera_settings: Any) -> Camera:
    """Rows of pixels, each of which watches a variable of the world's one neuron.

    contrast: log luminance of a bar's middle over the background. camera_settings: as of `camera`.
    """
    if not rows:
        raise ParameterError("there is no strip to see with; give one or more")
    numbers = [row.pixels for row in rows]
    position = " + ".join(f"int(strip == {number})*{row.watches}" for number, row in enumerate(rows))
    return camera(
        world,
        f"{float(contrast)!r}*exp(-({position} - centre)**2/(2*width**2))",
        watches=[row.watches for row in rows],
        places={
            "strip": np.repeat(np.arange(len(rows)), numbers),
            "width": np.repeat([row.width for row in rows], numbers),
            "centre": np.concatenate([np.linspace(-row.farthest, row.farthest, row.pixels) for row in rows]),
        },
        **camera_settings,
    )


def camera(
    world: NeuronGroup,
    seen: str,
    *,
    watches: Collection[str],
    places: Mapping[str, NDArray],
    threshold: float = 0.2,
    mismatch: float = 0.03,
    frame: Quantity = 5 * ms,
    tau: Quantity = 1000 * ms,
    rate: Quantity = 300 * Hz,
    interval: Quantity | Clock = 20 * ms,
    name: str = "camera",
) -> Camera:
    """Pixels that watch a world of one neuron, which has the variable `ended`.

    seen: log luminance over the background, in the world's variables that it `watches`, and in constants of the
    pixels, `places`, each (pixels,). rate: of a sustained neuron for each unit of log luminance. interval: of the
    world's control.
    """
    n = len(next(iter(places.values())))
    frames = Clock(dt=frame)
    pixels = NeuronGroup(
        n,
        "dmemory/dt = -memory/tau : 1\ntheta : 1 (constant)\nreference : 1\nevents : 1\n"
        + "\n".join(f"{place} : 1 (constant)" for place in places),
        method="exact",
        namespace={"tau": tau},
        clock=frames,
        name=f"{name}_pixels",
    )
    for place, values in places.items():
        setattr(pixels, place, values)
    pixels.theta = f"{threshold}*(1 + {mismatch}*clip(randn(), -3, 3))"
    for variable in (*watches, "ended"):
        pixels.variables.add_reference(variable, world, variable, index="0")
    pixels.run_regularly(
        f"""
        change = ({seen} - reference)/theta
        events = sign(change)*floor(abs(change) + 1e-6)
        reference += events*theta
        memory += events*theta
        """,
        when="before_groups",
    )
    pixels.run_regularly(
        "reference *= 1 - ended\nmemory *= 1 - ended",
        clock=control_clock(interval),
        when="start",
        order=WORLD_RESET_ORDER,
    )
    motion = NeuronGroup(
        2 * n,
        "waiting : 1\npixel : integer (constant)\nsense : 1 (constant)\ngain : 1 (shared)",
        threshold="waiting >= 1",
        reset="waiting -= 1",
        name=f"{name}_motion",
    )
    motion.pixel, motion.sense = np.tile(np.arange(n), 2), np.repeat([1.0, -1.0], n)
    motion.gain = 1
    motion.variables.add_reference("events", pixels, "events", index="pixel")
    motion.run_regularly("waiting += gain*clip(sense*events, 0, inf)", clock=frames, when="after_groups")
    sustained = NeuronGroup(
        n,
        "gain : 1 (shared)",
        threshold="rand() < gain*rate*memory*dt",
        namespace={"rate": rate},
        name=f"{name}_sustained",
    )
    sustained.gain = 1
    sustained.variables.add_reference("memory", pixels, "memory")
    return Camera(pixels=pixels, motion=motion, sustained=sustained)
