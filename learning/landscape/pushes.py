"""Small pushes: the fewest events that change what a spiking network decides.

    push = landscape.fewest_events(model, recording, loss, kinds=("remove",))
    print(push)
    push.plot()
    landscape.robustness(model, recordings, labels, loss).plot()

An event more in step t at input i adds the weights of i to what is behind it, so that to first order the margin of a
decision changes by those weights times the derivatives of the margin there in t: the event-gradient, from one way back
through the surrogate. It only proposes. What is accepted was run: all proposals as one batch of samples of the model
that spikes, and the one that takes most of the margin away is kept. Where no hidden neuron stands between the events
and the readout, the scores are linear in the events and there are two classes, each event that is removed or added has
its share in the margin, whatever the others do; no k shares sum to more than the k largest, so that greedy finds the
fewest there are. Else, and for moves, it is an upper bound.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from brian2 import Quantity, ms
from numpy.typing import ArrayLike, NDArray

from dvs.charts import INK, OFF, ON, legend, name_axes, prepare
from dvs.errors import InputError, ParameterError
from dvs.events import EventArray, make_events
from learning.graded import Graded
from learning.landscape.finding import Finding
from learning.losses import Loss
from learning.model import Batch, Model
from learning.progress import training_bar
from learning.samples import Spikes
from snn.inputs import EventInput

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Kind = Literal["remove", "add", "move"]
KINDS: tuple[Kind, ...] = get_args(Kind)

Keys = NDArray[np.int64]
"""Events of a sample, sorted: step * inputs + input. One that is there twice is two events (collisions="count")."""

_COLOURS = {"remove": OFF, "add": ON, "move": "#7b61a8"}
_PARTICIPLE = {"remove": "removed", "add": "added", "move": "moved"}


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One event removed, added or moved in time.

    neuron: of the input. step, to_step: where it was (or is now, if added), and where it was moved to. time_ms,
    to_time_ms: the beginnings of these steps. pixel: (x, y, p) of events of a camera, the first of those that share a
    neuron; None for other inputs.
    """

    kind: Kind
    neuron: int
    step: int
    to_step: int | None
    time_ms: float
    to_time_ms: float | None
    pixel: tuple[int, int, int] | None

    def __str__(self) -> str:
        where = f"input {self.neuron}" if self.pixel is None else "x={}, y={}, p={}".format(*self.pixel)
        to = "" if self.to_time_ms is None else f" to {self.to_time_ms:g} ms"
        return f"{self.kind} {where} at {self.time_ms:g} ms{to}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Push(Finding):
    """A sample, and the few events that make another decision of it.

    operations: in their order. margins (operations + 1,): how far the decision is from the other one before, and after
    each of them, in units of the loss's scores; below 0 it has changed. decision, now: labels before and after.
    success: whether it is another one, or the one that was asked for. before, after: (input, step) of all events, each
    (n,). sample: the sample after, as the model takes it; also for Brian2, with `snn.run`. dt_ms: of a step. runs:
    samples that were run for it.
    """

    operations: tuple[Operation, ...]
    margins: NDArray[np.float64]
    decision: int
    now: int
    success: bool
    before: tuple[NDArray[np.int64], NDArray[np.int64]]
    after: tuple[NDArray[np.int64], NDArray[np.int64]]
    sample: EventArray | tuple[NDArray[np.int64], Quantity]
    dt_ms: float
    runs: int

    @property
    def reading(self) -> str:
        """How many events it took."""
        counts = {kind: sum(one.kind == kind for one in self.operations) for kind in KINDS}
        done = ", ".join(f"{count} {_PARTICIPLE[kind]}" for kind, count in counts.items() if count) or "none changed"
        result = f"make a {self.now} of a {self.decision}" if self.success else f"leave it a {self.now}"
        return (
            f"{len(self.operations)} of {self.before[0].size} events ({done}) {result}; "
            f"the margin goes from {self.margins[0]:.3g} to {self.margins[-1]:.3g}"
        )

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """The events with what was done to them; without axes that are given, also the margin as it falls."""
        below = None
        if ax is None:
            from matplotlib.figure import Figure

            figure = Figure(figsize=(7.5, 5.6), layout="constrained")
            ax, below = figure.subplots(2, 1, height_ratios=[2.2, 1])
        ax = prepare(ax)
        neuron, step = self.before
        ax.plot(step * self.dt_ms, neuron, "|", color="#9aa5b1", markersize=4, label="events")
        for kind, marker in (("remove", "x"), ("add", "+"), ("move", ">")):
            chosen = [one for one in self.operations if one.kind == kind]
            if not chosen:
                continue
            times = [one.time_ms if one.to_time_ms is None else one.to_time_ms for one in chosen]
            inputs = [one.neuron for one in chosen]
            ax.plot(
                times, inputs, marker, color=_COLOURS[kind], markersize=8, markeredgewidth=2, label=_PARTICIPLE[kind]
            )
            if kind == "move":
                ax.hlines(inputs, [one.time_ms for one in chosen], times, color=_COLOURS[kind], linewidth=1.5)
        name_axes(ax, "time (ms)", "input")
        ax.legend(frameon=False, labelcolor=INK, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1), ncols=4)
        if below is not None:
            self.plot_margins(below)
        return ax

    def plot_margins(self, ax: "Axes | None" = None) -> "Axes":
        """The margin after each operation."""
        ax = prepare(ax)
        ax.step(np.arange(self.margins.size), self.margins, where="mid", color=INK, linewidth=1)
        for k, one in enumerate(self.operations, 1):
            ax.plot(k, self.margins[k], "o", color=_COLOURS[one.kind])
        ax.axhline(0, color=INK, linewidth=0.6)
        ax.xaxis.get_major_locator().set_params(integer=True)
        name_axes(ax, "events changed", "margin")
        return ax


def event_gradient(
    model: Model, sample: Any, loss: Loss, *, label: int | None = None, towards: int | None = None
) -> NDArray[np.float64]:
    """The derivative of the margin of a decision by an event of each input in each step, (steps, inputs).

    The margin is the score of `label`, by default of the decision, less the best other one; with `towards` the best
    other one less that of `towards`. To first order, through the surrogate: an event of value x at input i in step t
    changes it by x times what is found there, its absence by minus that. For a smooth model it is the derivative.
    Raises `ParameterError` if the weights of the input are not among the parameters of the model, as then it keeps no
    derivatives there.
    """
    keys = _Keys(model, sample, loss)
    given = keys.given
    if label is None:
        label = keys.decision(given)
    return keys.gradient(given, label, towards)


def fewest_events(
    model: Model,
    events: Any,
    loss: Loss,
    *,
    kinds: Sequence[Kind] = KINDS,
    towards: int | None = None,
    most: int = 50,
    shift: Quantity = 10 * ms,
    refractory: Quantity = 0 * ms,
    candidates: int = 256,
    progress: bool = True,
) -> Push:
    """The fewest events, removed, added or moved in time, that change the decision of a model: greedily, so at most so
    many are needed.

    events: one sample, as the model takes it; it is changed in steps of the model, where an input spikes at most once
    a step (more often only with collisions="count" of what is there). kinds: what may be done. towards: the label that
    it shall become; by default any other. most: events changed. shift: how far one may be moved. refractory: how far an
    added or moved event stays from all others of its input, beyond its own step. candidates: proposals of the
    event-gradient that are run for each event changed, shared among the kinds; as many as there are, if they are fewer.

    The best proposal is taken even if it gains nothing, as a spike may need several events; of equal ones that which
    the gradient prefers. No event is touched twice. At last each operation is left out that proves unnecessary.

    Raises `InputError` for graded samples, in which no events can be counted, `ParameterError` for arguments that do
    not fit the model.
    """
    search = _Keys(model, events, loss)
    _check_kinds(kinds)
    for name, number in {"most": most, "candidates": candidates}.items():
        if number < 1:
            raise ParameterError(f"{name} is {number}, expected 1 or more")
    reach, hold = (round(float(span / model.dt)) for span in (shift, refractory))
    if reach < 1 and "move" in kinds:
        raise ParameterError(f"shift is {shift}, expected at least one step of {model.dt} to move events")
    label = search.decision(search.given)
    if towards is not None and not 0 <= towards < model.units:
        raise ParameterError(f"towards is {towards}, expected a label from 0 to {model.units - 1}")

    done: list[tuple[int, int]] = []  # (key that goes or -1, key that comes or -1)
    keys = search.given
    changed = label == towards
    with training_bar(None, 0, progress) as advance:
        while not changed and len(done) < most:
            slopes = search.gradient(keys, label, towards).ravel()
            proposals = _proposals(keys, slopes, kinds, done, search.size, reach, hold, candidates)
            if not proposals:
                break
            margins, decisions = search.run([_after(keys, [one]) for one, _ in proposals], label, towards)
            best = min(range(len(proposals)), key=lambda k: (margins[k], proposals[k][1]))
            done.append(proposals[best][0])
            keys = _after(keys, [done[-1]])
            changed = _changed(decisions[best], label, towards)
            advance("small pushes", f"{len(done)} events, margin {margins[best]:.3g}")
        if changed:
            done = _needed(search, done, label, towards, hold)
    stages = [_after(search.given, done[:k]) for k in range(len(done) + 1)]
    margins, decisions = search.run(stages, label, towards)
    return Push(
        operations=tuple(search.operation(*one) for one in done),
        margins=margins,
        decision=label,
        now=int(decisions[-1]),
        success=_changed(decisions[-1], label, towards),
        before=search.cells(search.given),
        after=search.cells(stages[-1]),
        sample=search.sample(stages[-1]),
        dt_ms=search.dt_ms,
        runs=search.runs,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Robustness(Finding):
    """Accuracy against the number of events changed, at random and by the greedy search.

    counts (k,): events changed in each sample. random: by kind (seeds, k), shares of right decisions. greedy: by kind
    (k,), the same; NaN beyond `most`, the events that the search changed at most. needed: by kind (samples,), events
    that it needed; inf where the decision stood, NaN where it was wrong from the beginning. needed_random: by kind
    (seeds, samples), the first of `counts` at which the decision was another one, likewise.
    """

    counts: NDArray[np.int64]
    random: Mapping[str, NDArray[np.float64]]
    greedy: Mapping[str, NDArray[np.float64]]
    needed: Mapping[str, NDArray[np.float64]]
    needed_random: Mapping[str, NDArray[np.float64]]
    most: int

    @property
    def reading(self) -> str:
        """How many events turn half of the decisions, either way."""
        parts = []
        for kind in self.random:
            chance = _median(self.needed_random[kind])
            words = f"at random {_count(chance, int(self.counts[-1]))}"
            if kind in self.greedy:
                words = f"{_count(_median(self.needed[kind]), self.most)} chosen ones, {words}"
            parts.append(f"{_PARTICIPLE[kind]}: {words}")
        return "events that turn half of the right decisions: " + "; ".join(parts)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Accuracy against events changed: chosen ones as lines, random ones dashed, with the spread of seeds."""
        ax = prepare(ax)
        for kind, shares in self.random.items():
            mean, spread = 100 * shares.mean(axis=0), 100 * shares.std(axis=0)
            name = _PARTICIPLE[kind]
            ax.plot(self.counts, mean, "--", color=_COLOURS[kind], label=f"{name} at random")
            ax.fill_between(self.counts, mean - spread, mean + spread, color=_COLOURS[kind], alpha=0.15, linewidth=0)
            if kind in self.greedy:
                ax.plot(self.counts, 100 * self.greedy[kind], "o-", color=_COLOURS[kind], label=f"{name}, chosen")
        ax.set_xscale("symlog", linthresh=1)
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.set_ylim(-3, 103)
        name_axes(ax, "events changed in each sample", "right decisions (%)")
        legend(ax)
        return ax


def robustness(
    model: Model,
    samples: Sequence[Any],
    labels: ArrayLike,
    loss: Loss,
    *,
    counts: Sequence[int] = (0, 1, 2, 5, 10, 20, 50),
    kinds: Sequence[Kind] = KINDS,
    seeds: Sequence[int] = range(5),
    most: int | None = None,
    shift: Quantity = 10 * ms,
    refractory: Quantity = 0 * ms,
    candidates: int = 64,
    progress: bool = True,
) -> Robustness:
    """How many events may be removed, added or moved before decisions fail: chosen at random, and by `fewest_events`.

    At random: any event, any free place, any time up to `shift` away; the events of a smaller count are among those of
    a larger one. The greedy search changes the samples that were read rightly, in up to `most` events: by default the
    largest count, and 0 for no search.
    """
    _check_kinds(kinds)
    changes = np.unique(np.asarray([0, *counts], np.int64))
    if changes[0] < 0:
        raise ParameterError(f"counts are {list(counts)}, expected 0 or more events")
    most = int(changes[-1]) if most is None else most
    truth = np.asarray(labels)
    if truth.shape != (len(samples),):
        raise InputError(f"labels have shape {truth.shape}, expected one for each of {len(samples)} samples")
    reach, hold = (round(float(span / model.dt)) for span in (shift, refractory))
    right = {kind: np.zeros((len(seeds), changes.size)) for kind in kinds}
    first = {kind: np.full((len(seeds), truth.size), np.nan) for kind in kinds}
    needed = {kind: np.full(truth.size, np.nan) for kind in kinds}
    with training_bar(truth.size * len(kinds), 0, progress) as advance:
        for number, sample in enumerate(samples):
            search = _Keys(model, sample, loss)
            label = int(truth[number])
            known = search.decision(search.given) == label
            for kind in kinds:
                batch = []
                for seed in seeds:
                    rng = np.random.default_rng((seed, number, KINDS.index(kind)))
                    operations = _random(search, kind, int(changes[-1]), reach, hold, rng)
                    batch += [_after(search.given, operations[:count]) for count in changes]
                _, decisions = search.run(batch, label, None)
                kept = (decisions == label).reshape(len(seeds), changes.size)
                right[kind] += kept
                if known:
                    first[kind][:, number] = np.where(kept.all(axis=1), np.inf, changes[np.argmin(kept, axis=1)])
                    if most > 0:
                        push = fewest_events(
                            model, sample, loss, kinds=(kind,), most=most, shift=shift,
                            refractory=refractory, candidates=candidates, progress=False,
                        )  # fmt: skip
                        needed[kind][number] = len(push.operations) if push.success else np.inf
                advance("robustness", kind)
    return Robustness(
        counts=changes,
        random={kind: shares / truth.size for kind, shares in right.items()},
        greedy={kind: _standing(few, changes, most) for kind, few in needed.items()} if most > 0 else {},
        needed=needed if most > 0 else {},
        needed_random=first,
        most=most,
    )


def _standing(needed: NDArray, counts: NDArray, most: int) -> NDArray[np.float64]:
    """Share of samples whose decision outlives these counts; NaN for more than were tried."""
    return np.where(counts <= most, (needed[:, None] > counts).mean(axis=0), np.nan)


# The search


class _Keys:
    """A model as a function of the events of one sample."""

    def __init__(self, model: Model, sample: Any, loss: Loss) -> None:
        if loss.reading is None:
            raise ParameterError(f"loss {loss.name!r} decides nothing; give one that reads labels")
        batch = model.encode([sample])
        if len(batch.inputs) != 1:
            raise InputError(f"the model has the inputs {sorted(batch.inputs)}; events are changed of one input only")
        (self.name, given), *_ = batch.inputs.items()
        if isinstance(given, Graded) or (given.values is not None and (given.values != np.round(given.values)).any()):
            raise InputError("the sample is made of numbers, in which no events can be counted; give spikes or events")
        self.model, self.loss = model, loss
        self.steps, self.size, self.valued = given.steps, given.size, given.values is not None
        self.dt_ms = float(model.dt / ms)
        self.runs = 0
        neurons = given.neurons[given.starts[0, 0] : given.starts[0, -1]].astype(np.int64)
        keys = np.repeat(np.arange(self.steps), np.diff(given.starts[0])) * self.size + neurons
        if given.values is not None:
            keys = np.repeat(keys, given.values[given.starts[0, 0] : given.starts[0, -1]].astype(np.int64))
        self.given: Keys = np.sort(keys)

    def batch(self, samples: Sequence[Keys]) -> Batch:
        """Samples for the model."""
        starts, neurons, values, stop = [], [], [], 0
        for keys in samples:
            cells, counts = np.unique(keys, return_counts=True)
            starts.append(stop + np.searchsorted(cells, np.arange(self.steps + 1) * self.size))
            neurons.append((cells % self.size).astype(np.int32))
            values.append(counts.astype(float))
            stop += cells.size
        spikes = Spikes(
            starts=np.array(starts, np.int64),
            neurons=np.concatenate(neurons),
            values=np.concatenate(values) if self.valued else None,
            size=self.size,
        )
        return Batch(inputs={self.name: spikes})

    def run(self, samples: Sequence[Keys], label: int, towards: int | None) -> tuple[NDArray, NDArray[np.int64]]:
        """Margins (samples,) and decisions (samples,), of the model that spikes."""
        margins, decisions = [], []
        for first in range(0, len(samples), 256):
            output = self.model.forward(self.batch(samples[first : first + 256])).output
            scores = self.loss.reading(output)[0].mean(axis=1, dtype=np.float64)
            margins.append(_margin(scores, label, towards)[0])
            decisions.append(self.loss.predict(output))
        self.runs += len(samples)
        return np.concatenate(margins), np.concatenate(decisions)

    def decision(self, keys: Keys) -> int:
        """The label of a sample."""
        self.runs += 1
        return int(self.loss.predict(self.model.forward(self.batch([keys])).output)[0])

    def gradient(self, keys: Keys, label: int, towards: int | None) -> NDArray[np.float64]:
        """The event-gradient (steps, inputs)."""

        def by_output(output: NDArray) -> NDArray:
            scores, back = self.loss.reading(output)
            _, less, more = _margin(scores.mean(axis=1, dtype=np.float64), label, towards)
            by_score = np.zeros(scores.shape)
            by_score[:, :, more] += 1 / scores.shape[1]
            by_score[:, :, less] -= 1 / scores.shape[1]
            return back(by_score.astype(output.dtype))

        self.runs += 1
        return self.model.by_input(self.batch([keys]), by_output)[self.name][0]

    # What it is in the world

    def cells(self, keys: Keys) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Inputs and steps."""
        return keys % self.size, keys // self.size

    def sample(self, keys: Keys) -> EventArray | tuple[NDArray[np.int64], Quantity]:
        """As the model's input takes it: events in the middle of their steps, or (i, t)."""
        neuron, step = self.cells(keys)
        if not isinstance(self.eye, EventInput):
            return neuron, step * self.model.dt
        x, y, p = self.pixels(neuron)
        return make_events(x=x, y=y, t_us=np.round((step + 0.5) * 1000 * self.dt_ms).astype(np.int64), p=p)

    @property
    def eye(self) -> Any:
        """The model's input."""
        return self.model.inputs[self.name]

    def pixels(self, neuron: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        """X, y and polarity of the events that reach a neuron; the first pixel of those that share one."""
        channels = self.eye.channels
        p, y, x = (axis[neuron] for axis in channels.coordinates())
        left, top, _, _ = channels.region
        off = channels.channel_of[0]
        return left + x * channels.pool, top + y * channels.pool, p if channels.shape[0] == 2 else p + (off < 0)

    def operation(self, gone: int, come: int) -> Operation:
        """An operation in words."""
        kind = "add" if gone < 0 else "remove" if come < 0 else "move"
        step, neuron = divmod(come if gone < 0 else gone, self.size)
        to_step = come // self.size if kind == "move" else None
        pixel = None
        if isinstance(self.eye, EventInput):
            pixel = tuple(int(axis[0]) for axis in self.pixels(np.array([neuron])))
        return Operation(
            kind=kind,
            neuron=neuron,
            step=step,
            to_step=to_step,
            time_ms=step * self.dt_ms,
            to_time_ms=None if to_step is None else to_step * self.dt_ms,
            pixel=pixel,
        )


def _margin(scores: NDArray, label: int, towards: int | None) -> tuple[NDArray, int, int]:
    """Margins (samples,) of scores (samples, units), and of the first the units it falls and rises with."""
    others = scores.copy()
    others[:, label if towards is None else towards] = -np.inf
    best = others.max(axis=1)
    if towards is None:
        return scores[:, label] - best, int(others[0].argmax()), label
    return best - scores[:, towards], towards, int(others[0].argmax())


def _changed(decision: int, label: int, towards: int | None) -> bool:
    return bool(decision != label if towards is None else decision == towards)


def _after(keys: Keys, operations: Sequence[tuple[int, int]]) -> Keys:
    """The events after some operations."""
    for gone, come in operations:
        if gone >= 0:
            keys = np.delete(keys, np.searchsorted(keys, gone))
        if come >= 0:
            keys = np.insert(keys, np.searchsorted(keys, come), come)
    return keys


def _proposals(
    keys: Keys,
    slopes: NDArray,
    kinds: Sequence[Kind],
    done: Sequence[tuple[int, int]],
    size: int,
    reach: int,
    hold: int,
    candidates: int,
) -> list[tuple[tuple[int, int], float]]:
    """Operations and what the margin should change by, of each kind those by which it should fall most."""
    touched = np.array([key for one in done for key in one if key >= 0], np.int64)
    free = np.setdiff1d(keys, touched)
    share = max(1, candidates // len(kinds))
    near = _near(keys, slopes.size // size, size, hold).ravel()
    near[touched] += keys.size + 2  # neither free nor to be freed
    found: list[tuple[tuple[int, int], float]] = []
    if "remove" in kinds:
        chosen = _smallest(-slopes[free], share)
        found += [((int(free[k]), -1), float(-slopes[free[k]])) for k in chosen]
    if "add" in kinds:
        open_cells = np.flatnonzero(near == 0)
        chosen = _smallest(slopes[open_cells], share)
        found += [((-1, int(open_cells[k])), float(slopes[open_cells[k]])) for k in chosen]
    if "move" in kinds:
        gone, come = _moves(keys, free, near, size, reach, hold)
        effect = slopes[come] - slopes[gone]
        found += [((int(gone[k]), int(come[k])), float(effect[k])) for k in _smallest(effect, share)]
    return found


def _near(keys: Keys, steps: int, size: int, hold: int) -> NDArray[np.int64]:
    """For each step and input (steps, inputs), how many of its events lie within `hold` steps."""
    there = np.zeros((steps + 1, size), np.int64)
    np.add.at(there[1:].reshape(-1), keys, 1)
    summed = there.cumsum(axis=0)
    step = np.arange(steps)
    return summed[np.minimum(step + hold, steps - 1) + 1] - summed[np.maximum(step - hold, 0)]


def _moves(keys: Keys, free: Keys, near: NDArray, size: int, reach: int, hold: int) -> tuple[Keys, Keys]:
    """All moves of some events to where nothing else is near, from and to."""
    way = np.concatenate([np.arange(-reach, 0), np.arange(1, reach + 1)])
    come = free[:, None] + way * size
    inside = (come >= 0) & (come < near.size)
    target = np.where(inside, come, 0)
    # The event itself is near where it goes, if that is not far.
    left = near[target] - (np.abs(way) <= hold)
    fine = inside & (left <= 0) & ~np.isin(target, keys)
    return np.broadcast_to(free[:, None], come.shape)[fine], come[fine]


def _smallest(values: NDArray, count: int) -> NDArray[np.int64]:
    """Places of the smallest, in their order."""
    if values.size > count:
        places = np.argpartition(values, count)[:count]
        return places[np.argsort(values[places], kind="stable")]
    return np.argsort(values, kind="stable")


def _needed(
    search: _Keys, done: list[tuple[int, int]], label: int, towards: int | None, hold: int
) -> list[tuple[int, int]]:
    """The same operations without those that the decision does not need."""
    while len(done) > 1:
        fewer = [done[:k] + done[k + 1 :] for k in range(len(done))]
        fewer = [one for one in fewer if _fits(_after(search.given, one), one, search, hold)]
        if not fewer:
            return done
        margins, decisions = search.run([_after(search.given, one) for one in fewer], label, towards)
        enough = [k for k in range(len(fewer)) if _changed(decisions[k], label, towards)]
        if not enough:
            return done
        done = fewer[min(enough, key=lambda k: margins[k])]
    return done


def _fits(keys: Keys, operations: Sequence[tuple[int, int]], search: _Keys, hold: int) -> bool:
    """Whether events that came are still alone where they are."""
    come = np.array([one[1] for one in operations if one[1] >= 0], np.int64)
    return bool((_near(keys, search.steps, search.size, hold).ravel()[come] == 1).all())


def _random(
    search: _Keys, kind: Kind, count: int, reach: int, hold: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Operations of one kind in a random order, as many as there are up to a number."""
    keys, operations = search.given, []
    if kind == "remove":
        return [(int(key), -1) for key in rng.permutation(keys)[:count]]
    if kind == "add":
        near = _near(keys, search.steps, search.size, hold)
        while len(operations) < count and (near == 0).any():
            cell = int(rng.choice(np.flatnonzero(near.ravel() == 0)))
            operations.append((-1, cell))
            step, neuron = divmod(cell, search.size)
            near[max(step - hold, 0) : step + hold + 1, neuron] += 1
        return operations
    for key in rng.permutation(np.unique(keys)):
        if len(operations) == count:
            break
        near = _near(keys, search.steps, search.size, hold).ravel()
        _, come = _moves(keys, np.array([key]), near, search.size, reach, hold)
        if come.size:
            operations.append((int(key), int(rng.choice(come))))
            keys = _after(keys, operations[-1:])
    return operations


def _check_kinds(kinds: Sequence[Kind]) -> None:
    if isinstance(kinds, str) or not kinds or set(kinds) - set(KINDS) or len(set(kinds)) != len(kinds):
        raise ParameterError(f"kinds are {kinds!r}, expected some of {list(KINDS)}, such as kinds=('remove',)")


def _median(needed: NDArray) -> float:
    known = needed[~np.isnan(needed)]
    return float(np.sort(known)[(known.size - 1) // 2]) if known.size else np.nan


def _count(number: float, most: int) -> str:
    return "none" if np.isnan(number) else f"more than {most}" if np.isinf(number) else f"{number:g}"
