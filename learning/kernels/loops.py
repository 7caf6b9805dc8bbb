"""The loops over synapses that all kernels share: what spikes add, and how an error finds its way back.

Spikes are lists: `neurons[starts[sample, step]:starts[sample, step + 1]]` are those of a step, each times its entry in
`values` where spikes are graded. So a step costs per spike and not per synapse. All-to-all weights are (pre, post)
arrays; any other wiring is (S,) weights sorted by delay and neuron: synapses `first[d, pre]` to `first[d, pre + 1]`
have the d-th delay and reach `post`.
"""

from numba import njit
from numpy.typing import NDArray

# Sums may be taken in any order, so that they can be taken eight at a time.
_FAST = {"nogil": True, "fastmath": {"reassoc", "contract", "nsz"}, "error_model": "numpy"}
_CACHED = {**_FAST, "cache": True}


@njit(**_FAST)
def add_rows(total: NDArray, weights: NDArray, neurons: NDArray, begin: int, end: int) -> None:
    """Add to total, (post,), the rows of weights, (pre, post), of the neurons from begin to end."""
    spike = begin
    while spike + 4 <= end:  # four at a time: total is read and written once for all of them
        a, b, c, d = (
            weights[neurons[spike]],
            weights[neurons[spike + 1]],
            weights[neurons[spike + 2]],
            weights[neurons[spike + 3]],
        )
        for k in range(total.size):
            total[k] += (a[k] + b[k]) + (c[k] + d[k])
        spike += 4
    while spike < end:
        a = weights[neurons[spike]]
        for k in range(total.size):
            total[k] += a[k]
        spike += 1


@njit(**_FAST)
def add_graded_rows(total: NDArray, weights: NDArray, neurons: NDArray, values: NDArray, begin: int, end: int) -> None:
    """The same, each row times the value of its spike."""
    for spike in range(begin, end):
        row, value = weights[neurons[spike]], values[spike]
        for k in range(total.size):
            total[k] += value * row[k]


@njit(**_FAST)
def add_synapses(
    total: NDArray, weights: NDArray, first: NDArray, post: NDArray, neurons: NDArray, begin: int, end: int
) -> None:
    """Add to total[post] the weights of the synapses of the neurons from begin to end; first: of one delay."""
    for spike in range(begin, end):
        neuron = neurons[spike]
        for synapse in range(first[neuron], first[neuron + 1]):
            total[post[synapse]] += weights[synapse]


@njit(**_FAST)
def add_graded_synapses(
    total: NDArray,
    weights: NDArray,
    first: NDArray,
    post: NDArray,
    neurons: NDArray,
    values: NDArray,
    begin: int,
    end: int,
) -> None:
    """The same, each weight times the value of its spike."""
    for spike in range(begin, end):
        neuron = neurons[spike]
        for synapse in range(first[neuron], first[neuron + 1]):
            total[post[synapse]] += values[spike] * weights[synapse]


@njit(**_FAST)
def gather_rows(
    spikes: NDArray,
    weights: NDArray,
    transposed: NDArray,
    adjoint: NDArray,
    active: NDArray,
    count: int,
    factor: float,
) -> None:
    """What a spike of each neuron would have changed: spikes += factor * weights @ adjoint, at least where active.

    spikes (pre,), adjoint (post,), active: `count` neurons whose result matters. transposed: the weights, (post, pre).
    """
    if 4 * count < spikes.size:  # few: their rows
        for k in range(count):
            row, sum_of_row = weights[active[k]], adjoint[0] * 0
            for j in range(adjoint.size):
                sum_of_row += row[j] * adjoint[j]
            spikes[active[k]] += factor * sum_of_row
    else:  # many: all columns
        j = 0
        while j + 2 <= adjoint.size:
            a, b = transposed[j], transposed[j + 1]
            of_a, of_b = factor * adjoint[j], factor * adjoint[j + 1]
            for k in range(spikes.size):
                spikes[k] += of_a * a[k] + of_b * b[k]
            j += 2
        if j < adjoint.size:
            a, of_a = transposed[j], factor * adjoint[j]
            for k in range(spikes.size):
                spikes[k] += of_a * a[k]


@njit(**_FAST)
def gather_synapses(
    spikes: NDArray,
    weights: NDArray,
    first: NDArray,
    post: NDArray,
    adjoint: NDArray,
    active: NDArray,
    count: int,
    factor: float,
) -> None:
    """The same for synapses of one delay."""
    for k in range(count):
        neuron, total = active[k], adjoint[0] * 0
        for synapse in range(first[neuron], first[neuron + 1]):
            total += weights[synapse] * adjoint[post[synapse]]
        spikes[neuron] += factor * total


@njit(**_CACHED)
def sort_by_neuron(
    neurons: NDArray,
    values: NDArray,
    starts: NDArray,
    samples: tuple[int, int],
    steps: tuple[int, int],
    rows_a_sample: int,
    rows: NDArray,
    sorted_values: NDArray,
    first: NDArray,
) -> None:
    """The spikes of some samples and steps by neuron: those of one are `rows[first[neuron]:first[neuron + 1]]`.

    A row is sample * rows_a_sample + step - steps[0]. rows are filled from first[0] on. values: empty if not graded.
    """
    place = first[0]
    first[1:] = 0
    for sample in range(samples[0], samples[1]):
        for spike in range(starts[sample, steps[0]], starts[sample, steps[1]]):
            first[neurons[spike] + 1] += 1
    for neuron in range(first.size - 1):
        first[neuron + 1] += first[neuron]
    for sample in range(samples[0], samples[1]):
        for step in range(steps[0], steps[1]):
            for spike in range(starts[sample, step], starts[sample, step + 1]):
                neuron = neurons[spike]
                rows[first[neuron]] = sample * rows_a_sample + step - steps[0]
                if values.size:
                    sorted_values[first[neuron]] = values[spike]
                first[neuron] += 1
    # Each entry has moved on to where the next neuron begins.
    for neuron in range(first.size - 1, 0, -1):
        first[neuron] = first[neuron - 1]
    first[0] = place


@njit(**_CACHED)
def add_row_gradient(
    gradient: NDArray,
    adjoint: NDArray,
    rows: NDArray,
    values: NDArray,
    first: NDArray,
    neurons: tuple[int, int],
    delay: int,
) -> None:
    """Add to gradient[neuron] the adjoint (rows, post) of all moments at which its spikes arrive."""
    for neuron in range(neurons[0], neurons[1]):
        total, spike, end = gradient[neuron], first[neuron], first[neuron + 1]
        if values.size:
            while spike < end:
                a, value = adjoint[rows[spike] + delay], values[spike]
                for k in range(total.size):
                    total[k] += value * a[k]
                spike += 1
        while spike + 4 <= end:
            a, b, c, d = (
                adjoint[rows[spike] + delay],
                adjoint[rows[spike + 1] + delay],
                adjoint[rows[spike + 2] + delay],
                adjoint[rows[spike + 3] + delay],
            )
            for k in range(total.size):
                total[k] += (a[k] + b[k]) + (c[k] + d[k])
            spike += 4
        while spike < end:
            a = adjoint[rows[spike] + delay]
            for k in range(total.size):
                total[k] += a[k]
            spike += 1


@njit(**_CACHED)
def add_synapse_gradient(
    gradient: NDArray,
    adjoint: NDArray,
    rows: NDArray,
    values: NDArray,
    first: NDArray,
    neurons: tuple[int, int],
    delays: NDArray,
    synapses_first: NDArray,
    post: NDArray,
) -> None:
    """The same for other wirings: gradient (S,), delays (D,), synapses_first (D, pre + 1), post (S,)."""
    for neuron in range(neurons[0], neurons[1]):
        for d in range(delays.size):
            begin, end = synapses_first[d, neuron], synapses_first[d, neuron + 1]
            if begin == end:
                continue
            for spike in range(first[neuron], first[neuron + 1]):
                arrived = adjoint[rows[spike] + delays[d]]
                value = values[spike] if values.size else arrived[0] * 0 + 1
                for synapse in range(begin, end):
                    gradient[synapse] += value * arrived[post[synapse]]


@njit(**_CACHED)
def count_spikes(neurons: NDArray, values: NDArray, starts: NDArray, counts: NDArray) -> None:
    """Add the spikes of each neuron in each sample to counts, (samples, n); values: empty if not graded."""
    for sample in range(starts.shape[0]):
        for spike in range(starts[sample, 0], starts[sample, -1]):
            counts[sample, neurons[spike]] += values[spike] if values.size else 1
