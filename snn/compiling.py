"""A program of Brian2 in C++, built once and run with many seeds and values: Brian2 itself builds one for each run.

def make():
neurons = NeuronGroup(...)
return Network(neurons), neurons

with compiled(make, lambda made: made[0].run(1 * second)) as program:
for seed in range(5):
program(seed, {program.made[1].v: 0.0})
v = program.read(program.made[1], "v")
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from brian2 import Quantity, defaultclock, get_device, ms, prefs, set_device
from brian2.core.variables import VariableView
from brian2.devices.cpp_standalone.device import CPPStandaloneDevice
from brian2.devices.device import reset_device
from brian2.groups.group import Group
from numpy.typing import ArrayLike, NDArray

Made = TypeVar("Made")
Settings = Mapping[VariableView, ArrayLike]

# Before all else in the program: the generators are those of the seed.
_SEED_FILE = "seed.txt"
_SEED = f"""
std::ifstream _seed_file("{_SEED_FILE}");
unsigned long _seed;
_seed_file >> _seed;
for (size_t _g = 0; _g < _random_generators.size(); _g++) _random_generators[_g].seed(_seed + _g);
"""


@contextmanager
def compiled(
    make: Callable[[], Made],
    run: Callable[[Made], None],
    *,
    directory: Path | None = None,
    dt: Quantity = 1 * ms,
) -> Iterator["Compiled[Made]"]:
    """What `make` makes and `run` does with it, as a C++ program.

    Both are called once, with Brian2's device set to C++ standalone and its clock to dt. directory: of the code; by
    default one that is gone afterwards. Then Brian2 is back on the device where it was.
    """
    with tempfile.TemporaryDirectory() as temporary:
        project = str(Path(directory or temporary) / "program")
        set_device("cpp_standalone", build_on_run=False, directory=project)
        device = get_device()
        device.reinit()
        device.activate(build_on_run=False, directory=project)
        defaultclock.dt = dt
        arguments = prefs.devices.cpp_standalone.extra_make_args_unix
        if arguments == ["-j"]:  # as many compilers at once as there are files
            prefs.devices.cpp_standalone.extra_make_args_unix = [f"-j{os.cpu_count()}"]
        try:
            device.insert_code("main", _SEED)
            made = make()
            device.apply_run_args()
            run(made)
            device.build(directory=project, compile=True, run=False, with_output=False)
            yield Compiled(made, device)
        finally:
            prefs.devices.cpp_standalone.extra_make_args_unix = arguments
            device.reinit()
            reset_device()


class Compiled(Generic[Made]):
    """The program that `compiled` has built. made: what `make` gave."""

    def __init__(self, made: Made, device: CPPStandaloneDevice) -> None:
        self.made, self._device = made, device

    def __call__(self, seed: int, settings: Settings | None = None) -> float:
        """Run once, from the first draws on; seconds that it took.

        settings: variables that get another value after all has been made, such as {neurons.v: 0 * mV}.
        """
        (Path(self._device.project_dir) / _SEED_FILE).write_text(f"{seed}\n")
        began = time.perf_counter()
        self._device.run(with_output=False, run_args=dict(settings or {}))
        return time.perf_counter() - began

    def read(self, owner: Group, name: str) -> NDArray:
        """A variable of a group or monitor after the last run, flat and in SI units."""
        # Not through views: they remember the run before.
        variable = owner.variables[name]
        return np.fromfile(Path(self._device.results_dir) / self._device.get_array_filename(variable), variable.dtype)
