"""Many samples through a compiled network: the loop over samples is compiled too, so that none costs a start.

In Brian2's C++ standalone a run ends with the process, and the next begins with reading everything anew. Here the
state is put back in memory between samples, the spikes come from a file, and one process runs them all.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from brian2 import Network, NeuronGroup, Quantity, SpikeMonitor, StateMonitor, get_device
from brian2.codegen.generators.cpp_generator import c_data_type
from brian2.core.variables import ArrayVariable, DynamicArrayVariable
from brian2.devices.cpp_standalone.device import CPPStandaloneDevice
from brian2.groups.group import Group
from brian2.synapses.synapses import SynapticPathway
from numpy.typing import NDArray

from dvs.errors import ParameterError
from snn.drive import changing_variables
from snn.inputs import EventInput
from snn.recording import Part
from snn.seeds import sample_seed

_PLAN, _ENDS = "samples.plan", "samples.ends"


class CompiledRun:
    """A network compiled together with the loop over its samples."""

    def __init__(
        self,
        network: Network,
        eye: EventInput,
        duration: Quantity,
        groups: Mapping[str, Group],
        variables: Mapping[tuple[str, str], Group],
        keep: Collection[str],
        namespace: Mapping[str, object],
    ) -> None:
        device = get_device()
        if not isinstance(device, CPPStandaloneDevice) or device.build_on_run or device.has_been_run:
            raise ParameterError(
                "a compiled network needs a device that waits: call device.reinit(), device.activate() and "
                "set_device('cpp_standalone', build_on_run=False) before the network is made"
            )
        self._device, self._eye = device, eye
        self._spikes = {name: SpikeMonitor(group, name=f"{name}_recorder") for name, group in groups.items()}
        self._states = {
            (name, variable): StateMonitor(
                group, variable, record=True, when="end", clock=group.clock, name=f"{name}_{variable}_recorder"
            )
            for (name, variable), group in variables.items()
        }
        network.add(*self._spikes.values(), *self._states.values())
        self._steps = round(float(duration / eye.group.clock.dt))
        self._build(network, duration, keep, namespace)

    def run(self, samples: Iterable[Any], seed: int | None, tick: Callable[[], None]) -> list[Part]:
        """What was recorded of each sample."""
        count = 0

        def shown() -> Iterator[Any]:
            nonlocal count
            for sample in samples:
                count += 1
                yield sample

        self._eye.write_samples(shown())
        seeds = [-1 if seed is None else sample_seed(seed, number) for number in range(count)]
        (Path(self._device.project_dir) / _PLAN).write_text("\n".join(map(str, [count, *seeds])) + "\n")
        self._device.run(with_output=False)
        ends = np.fromfile(Path(self._device.results_dir) / _ENDS, np.int64).reshape(count, len(self._spikes))
        spikes = {
            name: self._cut(monitor, ends[:, column]) for column, (name, monitor) in enumerate(self._spikes.items())
        }
        states = {
            key: self._read(monitor, key[1]).reshape(count, self._steps, -1) for key, monitor in self._states.items()
        }
        for _ in range(count):
            tick()
        return [
            Part(
                spikes={name: parts[number] for name, parts in spikes.items()},
                states={key: values[number] for key, values in states.items()},
            )
            for number in range(count)
        ]

    def _cut(self, monitor: SpikeMonitor, ends: NDArray[np.int64]) -> list[tuple[NDArray, NDArray]]:
        """(neuron, step) of the spikes of each sample."""
        neurons = self._read(monitor, "i").astype(np.int64)
        steps = np.rint(self._read(monitor, "t") / float(monitor.source.clock.dt)).astype(np.int64)
        return list(zip(np.split(neurons, ends[:-1]), np.split(steps, ends[:-1]), strict=True))

    def _read(self, monitor: SpikeMonitor | StateMonitor, name: str) -> NDArray:
        # Not through the monitor: it remembers the size of the run before.
        variable = monitor.variables[name]
        return np.fromfile(Path(self._device.results_dir) / self._device.get_array_filename(variable), variable.dtype)

    def _build(
        self, network: Network, duration: Quantity, keep: Collection[str], namespace: Mapping[str, object]
    ) -> None:
        device = self._device
        device.apply_run_args()
        before = len(device.main_queue)
        network.run(duration, namespace=namespace)
        commands = device.main_queue[before:]
        del device.main_queue[before:]
        # Once: making the queues of spikes. For each sample: the run itself.
        (run,) = [place for place, (kind, _) in enumerate(commands) if kind == "run_network"]
        opening, closing = self._loop(network, keep)
        device.main_queue += commands[:run]
        device.insert_code("main", opening)
        device.main_queue.append(commands[run])
        device.insert_code("main", closing)
        device.main_queue += commands[run + 1 :]
        device.build(**{"directory": None, **device.build_options, "run": False, "with_output": False})

    def _loop(self, network: Network, keep: Collection[str]) -> tuple[str, str]:
        """C++ before and after the run of a sample, which put the state back and note how many spikes there were."""
        objects = network.sorted_objects
        _, transient = changing_variables(objects, keep)
        saved, restored = [], []
        for number, variable in enumerate(transient):
            array, size = self._place(variable)
            saved.append(f"std::vector<{c_data_type(variable.dtype)}> _saved_{number}({array}, {array} + {size});")
            restored.append(f"std::copy(_saved_{number}.begin(), _saved_{number}.end(), {array});")
        for obj in objects:
            if isinstance(obj, SynapticPathway):
                restored.append(
                    f"for (size_t _q = 0; _q < {obj.name}.queue.size(); _q++)"
                    f" for (size_t _d = 0; _d < {obj.name}.queue[_q]->queue.size(); _d++)"
                    f" {obj.name}.queue[_q]->queue[_d].clear();"
                )
            elif isinstance(obj, NeuronGroup):
                for event in obj.events:
                    array, _ = self._place(obj.variables[f"_{event}space"])
                    restored.append(f"{array}[{obj.N}] = 0;")
        for clock in network._clocks:
            for name in ("timestep", "t"):
                restored.append(f"{self._place(clock.variables[name])[0]}[0] = 0;")
        sizes = [self._place(monitor.variables["i"])[1] for monitor in self._spikes.values()]
        opening = [
            "{",
            f'std::ifstream _plan("{_PLAN}");',
            f'std::ofstream _ends(brian::results_dir + "{_ENDS}", std::ios::binary);',
            "long _samples, _seed;",
            "_plan >> _samples;",
            *saved,
            "for (long _sample = 0; _sample < _samples; _sample++) {",
            "_plan >> _seed;",
            "if (_seed >= 0) for (size_t _g = 0; _g < _random_generators.size(); _g++)",
            "    _random_generators[_g].seed(_seed + _g);",
            *restored,
            f"{network.name}.t = 0.0;",
        ]
        closing = [
            f"int64_t _sizes[] = {{{', '.join(f'(int64_t){size}' for size in sizes) or 0}}};",
            f"_ends.write((char*)_sizes, {len(sizes)} * sizeof(int64_t));",
            "}",
            "}",
        ]
        return "\n".join(opening), "\n".join(closing)

    def _place(self, variable: ArrayVariable) -> tuple[str, str]:
        """A pointer to the data of a variable in the C++ code, and how many there are."""
        if isinstance(variable, DynamicArrayVariable):
            name = self._device.get_array_name(variable, access_data=False)
            return f"{name}.data()", f"{name}.size()"
        return self._device.get_array_name(variable), str(variable.size)
