"""Events drive Brian2: an ordinary NeuronGroup whose neurons spike when the pixels of a camera do.

`EventInput` makes the group once; what it sees, a recording, a file, a live emulator or an environment,
can be changed as often as you like, also after the network was compiled.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from brian2 import NetworkOperation, NeuronGroup, Quantity, get_device, ms, second, us
from brian2.devices.device import RuntimeDevice
from numpy.typing import NDArray

from dvs.emulator import Batch, Settings
from dvs.errors import InputError, ParameterError
from dvs.events import EventArray, Recording, check_events, empty_events
from dvs.files import recording_file
from dvs.files.recording_file import RecordingFile
from dvs.luminance import Encoding
from snn.binning import Collisions, SpikeBlock, Timing, check_collisions, spike_blocks
from snn.channels import Channels, Polarity
from snn.player import Player
from snn.sources import Begin, Chunks, live, nothing, once, recorded, watched
from snn.standalone_input import SpikeFile

Source = EventArray | Recording | RecordingFile | str | os.PathLike[str] | Iterator[Batch] | Iterator[EventArray]


class EventInput:
    """Input neurons (polarity, y, x) of a Brian2 network that spike with the events of a camera.

    `group` is the NeuronGroup: connect it, monitor it, add it to a Network like any other. Neuron number
    (p * H + y) * W + x, with (P, H, W) = `shape`; each neuron has the constants p, y and x.

    width, height: of the sensor. dt: the step, by default Brian2's. polarity: "split" (OFF is p = 0, ON p = 1),
    "merge", "on" or "off". roi: (x, y, width, height) in pixels. pool: pool x pool pixels share a neuron.
    collisions: what happens to two events of one neuron in one step: "error" says so; "first" keeps one spike and
    counts the rest in `dropped`; "count" makes one spike, and the number of its events is the neuron's variable
    `count` (a synapse uses it as `count_pre`); "spread" moves later ones to the next steps that are free.

    An event at time t makes a spike in the step that contains t, as Brian2's SpikeGeneratorGroup has it.
    In C++ standalone the spikes are read from a file while the network runs: `show` something else, run the binary
    again, and nothing is compiled.

    >>> import dvs
    >>> eye = EventInput(width=4, height=2, dt=1 * ms)
    >>> eye.show(dvs.make_events(x=[3], y=[1], t_us=[2500], p=[1]))
    >>> eye.shape, eye.group.N
    ((2, 2, 4), 16)
    """

    def __init__(
        self,
        *,
        width: int,
        height: int,
        dt: Quantity | None = None,
        polarity: Polarity = "split",
        roi: tuple[int, int, int, int] | None = None,
        pool: int = 1,
        collisions: Collisions = "error",
        name: str = "input",
    ) -> None:
        check_collisions(collisions)
        self.channels = Channels(width=width, height=height, polarity=polarity, roi=roi, pool=pool)
        self.collisions = collisions
        self._begin: Begin = nothing
        self._fed: deque[tuple[EventArray, float]] | None = None
        self._file = None if isinstance(get_device(), RuntimeDevice) else SpikeFile(name, len(self.channels))
        self.group = self._make_group(dt, name)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(polarities, H, W) of the input neurons."""
        return self.channels.shape

    @property
    def dropped(self) -> int:
        """Events that became no spike so far (collisions="first")."""
        return self._player.dropped if self._file is None else self._file.dropped

    def show(self, source: Source, *, start: Quantity = 0 * ms, speed: float = 1.0, repeat: int | None = 1) -> None:
        """Let the group see `source` from now on, beginning `start` after now.

        source: events (sorted, microseconds from 0), a `Recording`, a file or its path (HDF5 is read while the
        network runs), or an iterator of events or of `dvs.stream`'s batches, a live emulator. The moment at which a
        recording began to be watched falls on `start`. speed: 2 shows it in half the time. repeat: how often; None
        is for ever. Raises `InputError` for events that are not in order or not on this sensor.
        """
        self._show(self._opened(source, start, speed, repeat))

    def _opened(self, source: Source, start: Quantity, speed: float, repeat: int | None) -> Begin:
        """How to begin with `source`; everything that can be wrong about it is said here."""
        if not (np.isfinite(speed) and speed > 0):
            raise ParameterError(f"speed is {speed}, expected a number above 0")
        if repeat is not None and repeat < 1:
            raise ParameterError(f"repeat is {repeat}, expected 1 or more, or None for ever")
        if start < 0 * second:
            raise ParameterError(f"start is {start}, expected 0 or later: what is past cannot be shown")
        if isinstance(source, str | os.PathLike):
            source = recording_file.open(Path(source))
        if isinstance(source, np.ndarray):
            source = Recording(events=source, width=self.channels.width, height=self.channels.height)
        later_us = float(start / us)
        if isinstance(source, Recording | RecordingFile):
            self._check_size(source.width, source.height)
            if repeat != 1 and source.duration_s == 0:
                raise InputError("the recording has no duration, so it cannot be repeated; give its stop_us")
            if self._file is not None and repeat is None:
                raise ParameterError("a compiled network reads its spikes from a file; give repeat a number")
            return partial(recorded, source, later_us, speed, repeat)
        if repeat != 1:
            raise ParameterError("a live source is seen once; leave out repeat")
        return once(partial(live, source, later_us, speed, self.channels))

    def watch(
        self,
        see: Callable[[Quantity], NDArray],
        settings: Settings,
        *,
        every: Quantity,
        encoding: Encoding | None = None,
    ) -> None:
        """Let an emulated camera look at a world that may depend on what the network does.

        see: called every `every` with the time since now; returns the frame (height, width) at that time, as codes of
        `encoding` (by default sRGB for uint8, linear luminance for float). settings: of the emulator.
        The events between two frames are known when the later one is, and so they arrive one `every` later.
        """
        if self._file is not None:
            raise ParameterError("a compiled network cannot call Python; use the runtime device to watch a world")
        if every < self.group.clock.dt:
            raise ParameterError(f"every is {every}, expected at least one step of {self.group.clock.dt}")
        self._show(once(partial(watched, see, settings, float(every / us), encoding, self._check_size)))

    def feed(self, events: EventArray, duration: Quantity) -> None:
        """Let the group see the events of the next `duration`, t in microseconds from its beginning.

        For a network that runs piece by piece. The first call ends what was shown before; where nothing is fed,
        nothing is seen.
        """
        if self._file is not None:
            raise ParameterError("a compiled network runs to its end at once; use the runtime device to feed it")
        check_events(events, self.channels.width, self.channels.height)
        span_us = 1e6 * float(duration)
        if events.size and not (events["t"][0] >= 0 and events["t"][-1] <= span_us):
            raise InputError(
                f"the events are at {events['t'][0]} to {events['t'][-1]} us, expected 0 to {span_us:g} us; "
                "give the events of this interval, counted from its beginning"
            )
        if self._fed is None:
            self._show(once(self._feeding))
            self._fed = deque()
        self._fed.append((events, span_us))

    def blank(self) -> None:
        """Let the group see nothing."""
        self._show(nothing)

    def blocks(self, first_step: int = 0) -> Iterator[SpikeBlock]:
        """The spikes of what is shown, its "now" being `first_step`; of a live source only once."""
        return self._blocks_of(self._begin, first_step)

    def _blocks_of(self, begin: Begin, first_step: int = 0) -> Iterator[SpikeBlock]:
        return spike_blocks(begin(self._timing(first_step)), self.channels, self.collisions)

    def write_samples(self, sources: Iterable[Source]) -> None:
        """Let a compiled network see one source after the other, the next one each time its time begins anew."""
        if self._file is None:
            raise ParameterError("samples are written for a compiled network only; show them one by one")

        def blocks() -> Iterator[Iterator[SpikeBlock]]:
            for source in sources:
                yield self._blocks_of(self._opened(source, 0 * ms, 1.0, 1))

        self._file.write(blocks())

    def recorder(self) -> Player:
        """Keeps what is shown from now on; its `taken` gives it. No step takes longer for it."""
        if self._file is not None:
            raise ParameterError("what a compiled network is shown is in its file; monitor the group instead")
        self._player.keep()
        return self._player

    def _show(self, begin: Begin) -> None:
        self._begin, self._fed = begin, None
        if self._file is not None:
            self._file.write([self.blocks()])
        else:
            self._player.begin()

    def _timing(self, step: int) -> Timing:
        dt_us = 1e6 * float(self.group.clock.dt_)
        return Timing(dt_us=dt_us, offset_us=step * dt_us)

    def _feeding(self, now: Timing) -> Chunks:
        while True:
            now = self._timing(self._player.step)
            yield (*self._fed.popleft(), now) if self._fed else (empty_events(), now.dt_us, now)

    def _check_size(self, width: int, height: int) -> None:
        if (width, height) != (self.channels.width, self.channels.height):
            raise InputError(
                f"the source is {width}x{height}, {self.group.name} sees a sensor of "
                f"{self.channels.width}x{self.channels.height}; make an EventInput of that size, or crop the events"
            )

    def _make_group(self, dt: Quantity | None, name: str) -> NeuronGroup:
        equations = "p : integer (constant)\ny : integer (constant)\nx : integer (constant)"
        graded = self.collisions == "count"
        if graded:
            equations += "\ncount : integer"
        options = {"dt": dt, "name": name, "reset": "", "order": 0}
        if self._file is None:
            group = NeuronGroup(len(self.channels), equations, threshold="False", **options)
            # The spikes of a step are put where the threshold would put them, at the same moment.
            group.thresholder["spike"].active = False
            self._player = Player(group, self.blocks)
            group.contained_objects.append(
                NetworkOperation(self._player, clock=group.clock, when="thresholds", name=f"{name}_player")
            )
        else:
            events = f"{self._file.function_name}(i, t_in_timesteps)"
            group = NeuronGroup(
                len(self.channels), equations, threshold="count > 0" if graded else f"{events} > 0",
                namespace={self._file.function_name: self._file.function}, **options,
            )  # fmt: skip
            if graded:
                group.run_regularly(f"count = {events}", dt=dt, when="thresholds", order=-1)
        group.p, group.y, group.x = self.channels.coordinates()
        group.resetter["spike"].active = False
        return group


def event_input(source: Recording | RecordingFile | str | os.PathLike[str], **options: Any) -> EventInput:
    """An `EventInput` of the size of a recording or event file, which is shown at once.

    Options are those of `EventInput` and of `EventInput.show`.
    """
    if isinstance(source, str | os.PathLike):
        source = recording_file.open(Path(source))
    if not isinstance(source, Recording | RecordingFile):
        raise InputError(
            f"the source is a {type(source).__name__}, which has no sensor size; "
            "make an EventInput(width=..., height=...) and show it there"
        )
    shown = {name: options.pop(name) for name in ("start", "speed", "repeat") if name in options}
    eye = EventInput(width=source.width, height=source.height, **options)
    eye.show(source, **shown)
    return eye
