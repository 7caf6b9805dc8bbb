"""What a kernel is to compute: which network, by what it is differentiated, and what must be kept for that."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import sympy
from numpy.typing import NDArray

from learning.derivation import Derivation
from learning.reading import Coupling, Population, Projection, Reading
from learning.surrogates import Surrogate
from learning.symbols import symbol
from learning.threshold import jumps


@dataclass(frozen=True, kw_only=True, eq=False)
class Synapses:
    """The wiring of a projection in the order in which kernels go through it.

    pre: neurons of the source. all_to_all: weights are (pre, post). order: the synapses in the kernel's order, None if
    that is theirs. delays: (D,) in steps. first: (D, pre + 1), post: (S,); empty if all_to_all.
    """

    all_to_all: bool
    pre: int
    order: NDArray[np.int64] | None
    delays: NDArray[np.int64]
    first: NDArray[np.int64]
    post: NDArray[np.int32]

    def weights(self, by_synapse: NDArray) -> NDArray:
        """Numbers of synapses in the kernel's order and shape."""
        if self.all_to_all:
            return by_synapse.reshape(self.pre, -1)
        return by_synapse if self.order is None else by_synapse[self.order]

    def by_synapse(self, weights: NDArray) -> NDArray:
        """The way back."""
        flat = weights.reshape(-1)
        if self.order is None:
            return flat
        found = np.empty_like(flat)
        found[self.order] = flat
        return found


def wiring(reading: Reading) -> dict[str, Synapses]:
    """How the synapses of each projection are gone through."""
    sizes = {**{p.name: p.n for p in reading.populations}, **reading.inputs}
    return {q.name: _synapses(q, sizes[q.source], sizes[q.target]) for q in reading.projections}


def _synapses(projection: Projection, pre: int, post: int) -> Synapses:
    one_delay = (projection.delay_steps == projection.delay_steps[:1]).all()
    delays = projection.delay_steps[:1].copy() if one_delay else np.unique(projection.delay_steps)
    if (
        delays.size == 1
        and projection.pre.size == pre * post
        and (projection.pre.reshape(pre, post) == np.arange(pre)[:, None]).all()
        and (projection.post.reshape(pre, post) == np.arange(post)).all()
    ):
        return Synapses(
            all_to_all=True,
            pre=pre,
            order=None,
            delays=delays,
            first=np.zeros((1, 0), np.int64),
            post=np.zeros(0, np.int32),
        )
    group = np.searchsorted(delays, projection.delay_steps)
    key = group * pre + projection.pre
    order = np.argsort(key, kind="stable")
    edges = np.searchsorted(key[order], np.arange(max(delays.size, 1) * pre + 1))
    first = np.stack([edges[d * pre : (d + 1) * pre + 1] for d in range(max(delays.size, 1))])
    return Synapses(
        all_to_all=False,
        pre=pre,
        order=None if np.array_equal(order, np.arange(order.size)) else order,
        delays=delays if delays.size else np.zeros(1, np.int64),
        first=first,
        post=projection.post[order].astype(np.int32),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """A network and what is asked of it.

    wiring: of each projection. output: a group and one of its states, or "" for its spikes. derivations, surrogates,
    scales: by group, the last in units of the margin. trained_projections: by name. trained_couplings: names of values
    by coupling. trained_starts: groups. through_reset: whether an error also passes through the reset of what carried
    a neuron to its threshold. damping: of errors that pass through recurrent synapses. smooth: the primitive of the
    surrogate in place of spikes. single: float32. driven: projections whose input comes as sums over synapses.
    recorded: (group, state) kept at the end of every step.
    """

    reading: Reading
    wiring: Mapping[str, Synapses]
    output: tuple[str, str]
    derivations: Mapping[str, Derivation]
    surrogates: Mapping[str, Surrogate]
    scales: Mapping[str, float]
    trained_projections: frozenset[str]
    trained_couplings: Mapping[str, tuple[str, ...]]
    trained_starts: frozenset[str]
    through_reset: bool
    damping: float
    smooth: bool
    single: bool
    driven: frozenset[str] = frozenset()
    recorded: tuple[tuple[str, str], ...] = ()

    @cached_property
    def populations(self) -> Mapping[str, Population]:
        """By name."""
        return {p.name: p for p in self.reading.populations}

    @cached_property
    def relevant(self) -> frozenset[str]:
        """Populations that a trained number acts on, so that an error must reach them."""
        return reached(self.reading, self.directly_trained)

    @property
    def directly_trained(self) -> set[str]:
        """Populations that have a trained constant or start, or are behind trained synapses."""
        direct = {name for name, derivation in self.derivations.items() if derivation.constants} | self.trained_starts
        direct |= {q.target for q in self.reading.projections if q.name in self.trained_projections}
        return direct | {c.target for c in self.reading.couplings if c.name in self.trained_couplings}

    def valued(self, projection: Projection) -> bool:
        """Whether its spikes carry numbers."""
        return projection.graded or (self.smooth and projection.source in self.populations)

    def carries_error(self, link: Projection | Coupling) -> bool:
        """Whether an error passes back to the source."""
        return link.target in self.relevant and link.source in self.relevant

    @cached_property
    def heard(self) -> Mapping[str, tuple[str, ...]]:
        """By population: states whose adjoint after the synapses is kept, because synapses act on them."""
        return {name: self._heard(name) for name in self.populations}

    def _heard(self, name: str) -> tuple[str, ...]:
        if name not in self.relevant:
            return ()
        acting = [
            state
            for q in self.reading.projections
            if q.target == name and (q.name in self.trained_projections or self.carries_error(q))
            for state in q.adds
        ]
        return tuple(state for state in self.populations[name].states if state in acting)

    @cached_property
    def longest_delay(self) -> int:
        """Steps."""
        return max((int(q.delay_steps.max()) for q in self.reading.projections if q.pre.size), default=0)

    def recurrent(self, link: Projection | Coupling) -> bool:
        """Whether the target acts back on the source."""
        return link.source in reached(self.reading, {link.target})

    def scaled_margin(self, name: str) -> sympy.Expr:
        """How far a neuron is past its threshold, 0 at the threshold, without a unit."""
        return self.populations[name].margin / _number(self.scales[name])

    def margin_slopes(self, name: str) -> dict[str, sympy.Expr]:
        """Derivatives of the scaled margin by states and trained constants."""
        return {by: value / _number(self.scales[name]) for by, value in self.derivations[name].margin.items()}

    @cached_property
    def kept(self) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
        """By population: states that derivatives need "before" the update, after it ("updated"), and after synapses."""
        return {name: self._kept(name) for name in self.populations}

    def _kept(self, name: str) -> dict[str, tuple[str, ...]]:
        if name not in self.relevant:
            return {"before": (), "updated": (), "arrived": ()}
        derivation, population = self.derivations[name], self.populations[name]
        after_synapses = [*derivation.reset.values()]
        if population.margin is not None:
            after_synapses += self.jumps(name).values()
        needed = {
            "before": [*derivation.step.values(), *derivation.held.values(), *self._in_couplings(name)],
            "updated": derivation.margin.values(),
            "arrived": after_synapses,
        }
        return {moment: _states_in(values, population) for moment, values in needed.items()}

    def coupling_slopes(self, coupling: Coupling) -> dict[str, sympy.Expr]:
        """Derivatives of what a synapse adds to a sum, by the names of states and of trained values in it."""
        names = [*coupling.pre_states, *coupling.post_states, *self.trained_couplings.get(coupling.name, ())]
        slopes = {name: sympy.diff(coupling.value, symbol(name)) for name in names}
        return {name: value for name, value in slopes.items() if value != 0}

    def _in_couplings(self, name: str) -> Iterator[sympy.Expr]:
        """States of a population in the derivatives of couplings, as expressions."""
        for coupling in self.reading.couplings:
            if coupling.target in self.relevant:
                used = {free.name for value in self.coupling_slopes(coupling).values() for free in value.free_symbols}
                ends = ((coupling.source, coupling.pre_states), (coupling.target, coupling.post_states))
                for end, states in ends:
                    if end == name:
                        yield from (symbol(state) for known, state in states.items() if known in used)

    def jumps(self, name: str) -> dict[str, sympy.Expr]:
        """By how much a spike changes each state through whose change an error passes."""
        return jumps(self.derivations[name], self.through_reset)


def reached(reading: Reading, start: Iterable[str]) -> frozenset[str]:
    """The groups that some groups act on, themselves included."""
    found = set(start)
    links = [*reading.projections, *reading.couplings]
    while more := {link.target for link in links if link.source in found} - found:
        found |= more
    return frozenset(found)


def _number(value: float) -> sympy.Expr:
    return sympy.Integer(1) if value == 1 else sympy.Float(value, 17)


def _states_in(values: Iterable[sympy.Expr], population: Population) -> tuple[str, ...]:
    names = {free.name for value in values for free in value.free_symbols}
    return tuple(state for state in population.states if state in names)
