"""Spikes for a compiled network (Brian2's C++ standalone): through a file that it reads while it runs.

Brian2's SpikeGeneratorGroup compiles its spikes in; here a new file is a new recording, and nothing is
compiled again. The file holds int32 triples (step, neuron, count), in order; (-1, 0, 0) ends a sample.
When time goes back to an earlier step, the next sample of the file begins.
"""

import tempfile
import weakref
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from brian2 import Function

from dvs.errors import InputError
from snn.binning import SpikeBlock

_CODE = """
namespace {
struct SpikeFile_%NAME% {
    FILE* file;
    std::vector<int32_t> count;
    std::vector<int32_t> shown;
    int32_t next[3];
    bool more;
    int64_t step;

    SpikeFile_%NAME%() : count(%NEURONS%), more(false), step(-1) {
        file = fopen("%PATH%", "rb");
        if (!file) throw std::runtime_error("cannot open the spikes of %NAME%: %PATH%");
        read();
    }
    void read() { more = fread(next, sizeof(int32_t), 3, file) == 3 && next[0] >= 0; }
    void go_to(int64_t now) {
        for (size_t k = 0; k < shown.size(); k++) count[shown[k]] = 0;
        shown.clear();
        if (now < step) {
            while (more) read();
            read();
        }
        step = now;
        while (more && next[0] < now) read();
        for (; more && next[0] == now; read()) {
            count[next[1]] = next[2];
            shown.push_back(next[1]);
        }
    }
};
}
static inline int32_t %FUNCTION%(int64_t i, int64_t step) {
    static SpikeFile_%NAME% spikes;
    if (i == 0) spikes.go_to(step);
    return spikes.count[i];
}
"""


class SpikeFile:
    """The file of one input group; it is removed together with this object."""

    def __init__(self, name: str, neurons: int) -> None:
        folder = tempfile.mkdtemp(prefix="microsaccade-")
        self.path = Path(folder) / f"{name}.spikes"
        self.path.write_bytes(b"")
        self.dropped = 0  # events that became no spike
        self._remove = weakref.finalize(self, _remove, self.path)
        self.function_name = f"events_{name}"
        code = {"NAME": name, "NEURONS": neurons, "PATH": self.path.as_posix(), "FUNCTION": self.function_name}
        self.function = Function(
            _only_compiled, arg_units=[1, 1], arg_types=["integer", "integer"], return_unit=1, return_type="integer",
            stateless=False,
        )  # fmt: skip
        text = _CODE
        for key, value in code.items():
            text = text.replace(f"%{key}%", str(value))
        self.function.implementations.add_implementation(
            "cpp", text, name=self.function_name, compiler_kwds={"headers": ["<cstdio>", "<stdexcept>", "<vector>"]}
        )

    def write(self, samples: Iterable[Iterable[SpikeBlock]]) -> None:
        """Write the spikes of one sample after the other."""
        self.dropped = 0
        with self.path.open("wb") as file:
            for blocks in samples:
                for block in blocks:
                    if block.steps.size and block.steps[-1] > np.iinfo(np.int32).max:
                        raise InputError(
                            f"a spike falls on step {block.steps[-1]}, expected at most {np.iinfo(np.int32).max}; "
                            "use a longer dt or a shorter recording"
                        )
                    steps = np.repeat(block.steps, np.diff(block.starts))
                    np.stack([steps, block.neurons, block.counts], axis=1).astype(np.int32).tofile(file)
                    self.dropped += block.dropped
                np.array([-1, 0, 0], np.int32).tofile(file)


def _only_compiled(i: int, step: int) -> int:
    raise NotImplementedError("the spikes of a compiled network are read by its C++ code")


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.parent.rmdir()
