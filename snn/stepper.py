"""A network in a closed loop: an observation goes in, the network lives on for a moment, its spikes come out."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

import numpy as np
from brian2 import Network, Quantity, get_device, ms, us
from brian2.core.namespace import get_local_namespace
from brian2.devices.device import RuntimeDevice
from numpy.typing import NDArray

from dvs.emulator import Settings, State, advance, start
from dvs.errors import ParameterError
from dvs.events import EventArray, empty_events
from dvs.frames import default_encoding
from dvs.luminance import Encoding
from snn.drive import Drive
from snn.inputs import EventInput
from snn.recording import SpikeRecorder, recorded_groups, trains
from snn.spikes import SpikeTrains


class Stepper:
    """Runs a network `interval` by `interval`; what it does may decide what it sees next.

    input: an `EventInput`, or a function that is called with each observation and sets what it likes. interval: how
    long the network runs in a step. record: names of the groups whose spikes are returned, by default all that have
    a threshold but the input; "all" takes it too. emulator: settings of an event camera; the observations are then
    frames, (height, width), each seen at the end of an interval, and the network sees in the next one the events
    between the last two. encoding: of the frames. namespace: as in `Network.run`.

    The run is not in another thread: each step calls the network's own code, in Brian2's order, and returns.
    """

    def __init__(
        self,
        network: Network,
        *,
        input: EventInput | Callable[[Any], object],
        interval: Quantity = 10 * ms,
        record: Collection[str] | Literal["all"] | None = None,
        emulator: Settings | None = None,
        encoding: Encoding | None = None,
        namespace: Mapping[str, object] | None = None,
    ) -> None:
        if not isinstance(get_device(), RuntimeDevice):
            raise ParameterError("a compiled network cannot wait for an observation; use the runtime device")
        if emulator is not None and not isinstance(input, EventInput):
            raise ParameterError("an emulator makes events; give an EventInput to see them")
        self._input, self._interval, self._emulator, self._encoding = input, interval, emulator, encoding
        self._drive = Drive(network, namespace if namespace is not None else get_local_namespace(level=1))
        self._network = network
        groups = recorded_groups(network, record, input)
        self._recorders = {name: SpikeRecorder(group) for name, group in groups.items()}
        for name, group in groups.items():
            steps = float(interval / group.clock.dt)
            if round(steps) < 1 or abs(steps - round(steps)) > 1e-6:
                raise ParameterError(f"interval is {interval}, expected whole steps of {group.clock.dt} of {name}")
            self._drive.after_each_step(group.clock, self._recorders[name])
        self._sizes = {name: int(group.N) for name, group in groups.items()}
        self._clocks = {name: group.clock for name, group in groups.items()}
        self._camera: State | None = None
        self._frames = 0

    @property
    def t(self) -> Quantity:
        """The time of the network."""
        return self._network.t

    def step(self, observation: Any = None) -> dict[str, SpikeTrains]:
        """Show the observation, run for one interval, and return the spikes of each group, times from its beginning.

        observation: events of this interval, t in microseconds from its beginning; a frame, if there is an emulator;
        or whatever the input function takes. None is nothing to see.
        """
        self._show(observation)
        first = {name: self._drive.next_step(clock) for name, clock in self._clocks.items()}
        self._drive.advance(self._interval)
        return {
            name: trains([recorder.taken(first[name])], self._sizes[name], self._clocks[name].dt, self._interval)
            for name, recorder in self._recorders.items()
        }

    def reset(self) -> None:
        """Begin again: the state that the network had when the stepper was made, and nothing seen yet."""
        self._drive.reset()
        for recorder in self._recorders.values():
            recorder.clear()
        if isinstance(self._input, EventInput):
            self._input.blank()
        self._camera, self._frames = None, 0

    def _show(self, observation: Any) -> None:
        if not isinstance(self._input, EventInput):
            self._input(observation)
        elif self._emulator is not None and observation is not None:
            self._input.feed(self._seen(np.asarray(observation), self._emulator), self._interval)
        elif observation is not None:
            self._input.feed(observation, self._interval)

    def _seen(self, frame: NDArray, emulator: Settings) -> EventArray:
        """The events since the last frame, t from there."""
        begun_us = (self._frames - 1) * float(self._interval / us)
        now_us = self._frames * float(self._interval / us)
        self._frames += 1
        if self._camera is None:
            self._encoding = self._encoding or default_encoding(frame, "the observation")
            self._camera = start(emulator, self._encoding, now_us, frame)
            return empty_events()
        events, self._camera = advance(emulator, self._encoding, self._camera, [now_us], frame[None])
        events["t"] -= int(np.floor(begun_us))
        return events
