"""Optimisers and noise side by side: what each makes of the same loss, in equal steps and at equal cost.

    task = landscape.task_of(model, samples, labels, loss, test=(others, their_labels))
    found = landscape.descents(task, steps=100)
    print(found.table())

Cost is counted in runs of one sample: its loss costs 1 unit (forward), its gradient 3 (forward, and backward for twice
as much; Griewank & Walther 2008, "Evaluating derivatives", 3.3, give 3 to 4). So a step on a batch of 8 costs 24, and
one of Metropolis on all of 60 samples 60. A function that has no samples counts as one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvs.charts import INK, name_axes, prepare
from dvs.errors import InputError, ParameterError
from learning.landscape.curvature import eigenpairs
from learning.landscape.finding import Finding
from learning.landscape.objective import Objective
from learning.landscape.weights import Vector, Weights
from learning.losses import Loss
from learning.model import Model
from learning.optimisers import SGD, AdaGrad, Adam, Momentum, Nesterov, Optimiser, RMSProp
from learning.progress import training_bar

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Numbers = NDArray[np.int64]

LOSS_COST, GRADIENT_COST = 1, 3  # units a sample

_MARKS = 40  # places along a curve
_FAR = 1e9  # times its size at first, an x is lost
_PROPOSALS = 10  # from which Metropolis takes its temperature
_COLOURS = ("#3d7fd6", "#e07b2a", "#2f9e6e", "#7b61a8", "#c2455e", "#8a6d3b", "#4aa3b5")
_DASHES = ("-", "--", ":")


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """What a descent goes down: the mean of a loss over samples, as a function of a vector x (size,).

    samples: how many there are. slope(x, numbers): loss and gradient (size,) of the samples with these numbers, None
    for all. value(x): the loss of all. settle(x): x within the limits of the parameters. score(x): share of a test set
    that is right. curvature: where the sharpness is measured.
    """

    start: Vector
    samples: int
    slope: Callable[[Vector, Numbers | None], tuple[float, Vector]]
    value: Callable[[Vector], float]
    settle: Callable[[Vector], Vector] = lambda x: x
    score: Callable[[Vector], float] | None = None
    curvature: Objective | None = None


Walk = Callable[[Task, float, np.random.Generator, float], Iterator[tuple[float, Vector]]]
"""From a task, a rate, chance and the cost to expect in all, to the cost of each step and where it leads."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way down, and the rates that are tried for it: learning rates, or what stands for them."""

    name: str
    rates: tuple[float, ...]
    walk: Walk


def task_of(
    model: Model,
    samples: Any,
    targets: ArrayLike,
    loss: Loss,
    *,
    test: tuple[Any, ArrayLike] | None = None,
    curvature: Objective | None = None,
) -> Task:
    """The training of a model, from where it is now; it stays as it is.

    test: other samples and their labels. curvature: an objective of the same parameters that is `exact`, for the
    sharpness: `of_model` of a smooth twin of a model that spikes.
    """
    batch, targets = model.encode(samples), np.asarray(targets)
    if len(targets) != len(batch):
        raise InputError(f"{len(targets)} targets came for {len(batch)} samples; give one for each")
    held = None if test is None else (model.encode(test[0]), np.asarray(test[1]))
    weights = Weights(model)
    if curvature is not None and curvature.size != weights.start.size:
        raise InputError(
            f"curvature is of {curvature.size} numbers, the model has {weights.start.size}; give the same parameters"
        )

    def slope(numbers: Numbers | None) -> tuple[float, Vector]:
        some = (batch, targets) if numbers is None else (batch[numbers], targets[numbers])
        found = model.gradient(*some, loss)
        return float(found.value), weights.joined(found.gradients)

    return Task(
        start=weights.start,
        samples=len(batch),
        slope=lambda x, numbers: weights.at(x, lambda _: slope(numbers)),
        value=lambda x: float(weights.at(x, lambda _: model.evaluate(batch, targets, loss)[0])),
        settle=lambda x: weights.at(x, lambda settled: settled),
        score=None if held is None else lambda x: float(weights.at(x, lambda _: model.evaluate(*held, loss)[1])),
        curvature=curvature,
    )


def as_task(what: Task | Objective) -> Task:
    """An objective as a task of one sample, which all batches hold."""
    if isinstance(what, Task):
        return what
    return Task(
        start=what.start,
        samples=1,
        slope=lambda x, numbers: what.slope(x),
        value=what.value,
        curvature=what if what.exact else None,
    )


# Ways down


def by_optimiser(
    optimiser: Callable[[float], Optimiser],
    *,
    name: str | None = None,
    rates: Sequence[float] = (0.01, 0.03, 0.1, 0.3, 1.0),
    batch: int | None = None,
    noise: float = 0.0,
    annealed: bool = False,
) -> Method:
    """A descent by one of `learning.optimisers`, made from a learning rate.

    batch: samples of a step, drawn without repetition until all have been; None for all. noise: standard deviation of
    the normal number that is added to each number of the gradient; annealed: its variance falls as (1 + k)^-0.55 with
    the steps k done (Neelakantan et al. 2015, "Adding gradient noise improves learning for very deep networks",
    equation 1).
    """
    if batch is not None and batch < 1:
        raise ParameterError(f"batch is {batch}, expected 1 or more samples, or None for all")
    if not 0 <= noise < np.inf:
        raise ParameterError(f"noise is {noise}, expected a standard deviation of 0 or more")

    def walk(task: Task, rate: float, rng: np.random.Generator, cost: float) -> Iterator[tuple[float, Vector]]:
        used = optimiser(rate)
        x = {"x": task.start.copy()}
        state = used.start(x)
        for k, numbers in enumerate(_batches(task.samples, batch, rng)):
            _, gradient = task.slope(x["x"], numbers)
            if noise:
                sigma = noise * (1 + k) ** -0.275 if annealed else noise
                gradient = gradient + sigma * rng.standard_normal(gradient.size)
            x, state = used.step({"x": gradient}, state, x)
            x = {"x": task.settle(x["x"])}
            yield GRADIENT_COST * (task.samples if numbers is None else len(numbers)), x["x"]

    if name is None:
        parts = [getattr(optimiser, "__name__", "descent"), f"batch {batch}" if batch else ""]
        parts.append(f"{'annealed ' if annealed else ''}noise {noise:g}" if noise else "")
        name = ", ".join(filter(None, parts))
    return Method(name=name, rates=tuple(rates), walk=walk)


def metropolis(*, rates: Sequence[float] = (0.003, 0.01, 0.03, 0.1), hot: float = 1.0, cold: float = 1e-3) -> Method:
    """Simulated annealing: a step of rate times normal numbers, taken with the probability min(1, exp(-change/T)).

    T falls geometrically from hot to cold, over the whole cost, in units of the mean change of the loss by the first
    ten proposals, which are paid for. Metropolis et al. (1953); Kirkpatrick, Gelatt & Vecchi (1983), "Optimization by
    simulated annealing".
    """
    if not 0 < cold <= hot:
        raise ParameterError(f"temperatures go from {hot} to {cold}, expected 0 < cold <= hot")

    def walk(task: Task, rate: float, rng: np.random.Generator, cost: float) -> Iterator[tuple[float, Vector]]:
        def proposal(x: Vector) -> tuple[Vector, float]:
            there = task.settle(x + rate * rng.standard_normal(x.size))
            return there, task.value(there)

        x, here = task.start, task.value(task.start)
        unit = LOSS_COST * task.samples
        scale = np.mean([abs(proposal(x)[1] - here) for _ in range(_PROPOSALS)])
        steps = max(1.0, cost / unit)
        for k in count():
            there, value = proposal(x)
            temperature = scale * hot * (cold / hot) ** min(k / steps, 1)
            if value <= here or rng.random() < np.exp(-(value - here) / max(temperature, 1e-300)):
                x, here = there, value
            yield unit * (1 if k else 2 + _PROPOSALS), x

    return Method(name="simulated annealing", rates=tuple(rates), walk=walk)


def proximal_point(*, rates: Sequence[float] = (0.03, 0.1, 0.3, 1.0, 3.0), inner: int = 5) -> Method:
    """Rockafellar's proximal point: x+ = argmin_y f(y) + |y - x|^2/(2 rate), by so many steps of L-BFGS.

    Rockafellar (1976), "Monotone operators and the proximal point algorithm", equation 1.7. An implicit step: all
    gradients that it takes are paid for.
    """
    if inner < 1:
        raise ParameterError(f"inner is {inner}, expected 1 or more steps")

    def walk(task: Task, rate: float, rng: np.random.Generator, cost: float) -> Iterator[tuple[float, Vector]]:
        from scipy.optimize import minimize

        def tethered(y: Vector, x: Vector) -> tuple[float, Vector]:
            value, gradient = task.slope(y, None)
            return value + (y - x) @ (y - x) / (2 * rate), gradient + (y - x) / rate

        x = task.start
        while True:
            options = {"maxiter": inner, "maxfun": 2 * inner}
            found = minimize(tethered, x, (x,), jac=True, method="L-BFGS-B", options=options)
            x = task.settle(found.x)
            yield GRADIENT_COST * task.samples * found.nfev, x

    return Method(name="proximal point", rates=tuple(rates), walk=walk)


def standard_methods(*, batches: Sequence[int] = (4, 16), noise: float = 0.1) -> tuple[Method, ...]:
    """Descent on all samples, with constant and with annealed noise, and on batches; the optimisers that remember, on
    the largest of these batches; and the outsiders. For a function without samples give batches=().
    """
    largest = max(batches, default=None)
    fast, slow = (0.01, 0.03, 0.1, 0.3, 1.0), (0.003, 0.01, 0.03, 0.1, 0.3)
    return (
        by_optimiser(SGD, name="GD", rates=fast),
        by_optimiser(SGD, name="GD, noise", rates=fast, noise=noise),
        by_optimiser(SGD, name="GD, annealed noise", rates=fast, noise=noise, annealed=True),
        *(by_optimiser(SGD, rates=fast, batch=batch) for batch in batches),
        by_optimiser(Momentum, rates=slow, batch=largest),
        by_optimiser(Nesterov, rates=slow, batch=largest),
        by_optimiser(AdaGrad, rates=fast, batch=largest),
        by_optimiser(RMSProp, rates=slow, batch=largest),
        by_optimiser(Adam, rates=slow, batch=largest),
        metropolis(),
        proximal_point(),
    )


# Side by side


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """Where a method had come: loss, accuracy on the test set and sharpness of each seed, (seeds,); NaN: not known."""

    loss: Vector
    accuracy: Vector
    sharpness: Vector


@dataclass(frozen=True, kw_only=True, eq=False)
class Descent:
    """How a method went.

    rate: the best of those that were tried, with the mean loss of each at equal cost in `tried`. over_steps, over_cost:
    losses (seeds, marks). after_steps, after_cost: where it had come.
    """

    name: str
    rate: float
    tried: Mapping[float, float]
    over_steps: NDArray[np.float64]
    over_cost: NDArray[np.float64]
    after_steps: Outcome
    after_cost: Outcome


@dataclass(frozen=True, kw_only=True, eq=False)
class Descents(Finding):
    """Methods side by side.

    steps, cost: after which they are compared. step_marks, cost_marks (marks,): where the curves were measured.
    """

    methods: tuple[Descent, ...]
    steps: int
    cost: float
    step_marks: NDArray[np.float64]
    cost_marks: NDArray[np.float64]

    def best(self, at: Literal["steps", "cost"] = "cost") -> tuple[str, ...]:
        """The method of the lowest mean loss, and those that cannot be told from it.

        That is, those whose loss is higher, seed by seed, by less than twice the standard error of the difference.
        """
        losses = {one.name: getattr(one, f"after_{at}").loss for one in self.methods}
        first = min(losses, key=lambda name: losses[name].mean())
        near = [name for name, loss in losses.items() if name != first and _alike(loss, losses[first])]
        return first, *sorted(near, key=lambda name: losses[name].mean())

    def table(self) -> str:
        """A line for each method, the lowest loss at equal cost first; mean and standard deviation over seeds."""
        head = f"{'':24}{'rate':>7} |{f'{self.steps} steps: loss':^20} |{f'cost {self.cost:.3g}: loss':^20}"
        lines = [f"{head}{'test %':^13}{'sharpness':^19}"]
        for one in self._sorted():
            steps, cost = one.after_steps, one.after_cost
            lines.append(
                f"{one.name:24}{one.rate:7.3g} |{_spread(steps.loss):^20} |{_spread(cost.loss):^20}"
                f"{_spread(100 * cost.accuracy, 3):^13}{_spread(cost.sharpness):^19}"
            )
        return "\n".join(lines)

    @property
    def reading(self) -> str:
        """Who is lowest, at equal steps and at equal cost."""
        parts = []
        for at, length in (("steps", f"{self.steps} steps"), ("cost", f"a cost of {self.cost:.3g}")):
            first, *near = self.best(at)
            loss = next(getattr(one, f"after_{at}").loss for one in self.methods if one.name == first)
            alike = f" (not to be told from it: {', '.join(near)})" if near else ""
            parts.append(f"after {length} {first} is lowest, {_spread(loss)}{alike}")
        return "; ".join(parts)

    def plot(self, ax: "Axes | None" = None, *, over: Literal["steps", "cost"] = "cost") -> "Axes":
        """The loss over the cost or the steps: mean over seeds, and from the lowest to the highest."""
        ax = prepare(ax, width_in=8.2, height_in=4.4)
        marks = getattr(self, f"{over}_marks" if over == "cost" else "step_marks")
        colours = {one.name: number for number, one in enumerate(self.methods)}
        for one in self._sorted(over):
            losses, number = getattr(one, f"over_{over}"), colours[one.name]
            losses = np.where(np.isfinite(losses), losses, np.nan)
            colour, dash = _COLOURS[number % len(_COLOURS)], _DASHES[number // len(_COLOURS) % len(_DASHES)]
            ax.plot(marks, losses.mean(axis=0), dash, color=colour, label=one.name)
            ax.fill_between(marks, losses.min(axis=0), losses.max(axis=0), color=colour, alpha=0.12, linewidth=0)
        positive = all((getattr(one, f"over_{over}") > 0).all() for one in self.methods)
        ax.set(xscale="log", yscale="log" if positive else "linear", xlim=(marks[0], marks[-1]))
        ax.xaxis.set_minor_formatter("")
        name_axes(ax, "steps" if over == "steps" else "cost (runs of one sample)", "loss")
        ax.legend(frameon=False, labelcolor=INK, fontsize=9, loc="upper left", bbox_to_anchor=(1.01, 1))
        return ax

    def _sorted(self, at: str = "cost") -> list[Descent]:
        return sorted(self.methods, key=lambda one: getattr(one, f"after_{at}").loss.mean())


def descents(
    what: Task | Objective,
    *,
    methods: Sequence[Method] | None = None,
    steps: int = 100,
    cost: float | None = None,
    start: Callable[[np.random.Generator], ArrayLike] | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    tries: int = 5,
    progress: bool = True,
) -> Descents:
    """Let methods go down the same loss, and compare them after equal steps and at equal cost.

    methods: by default the `standard_methods`, without batches for an objective. cost: in units, by default that of as
    many steps of descent on all samples. start: draws where a seed begins, by default all begin at the task's start.

    To be fair, each method first goes with each of its rates from as many seeds as there are tries, which are not
    reported, and then with the rate whose mean loss was lowest at equal cost; the loss at equal steps is that of the
    same rate. One try is not enough: a rate that is lucky once is taken, and fails from other weights. A run whose
    gradient is no longer finite, or whose x is a billion times as large as at first, is lost: its loss is inf.
    What is measured on the way, loss of all samples, accuracy and sharpness, costs nothing.
    """
    task = as_task(what)
    if methods is None:
        methods = standard_methods() if task.samples > 1 else standard_methods(batches=())
    if min(steps, tries, len(seeds), len(methods)) < 1:
        raise ParameterError(
            f"{steps} steps of {len(methods)} methods, {tries} tries, {len(seeds)} seeds: expected one or more of each"
        )
    if len({method.name for method in methods}) < len(methods):
        raise ParameterError(f"methods are called {[method.name for method in methods]}; give each a name of its own")
    cost = float(GRADIENT_COST * task.samples * steps if cost is None else cost)
    marks = np.unique(np.round(np.geomspace(1, steps, _MARKS))), np.geomspace(cost / steps / 10, cost, _MARKS)
    runs = sum(tries * len(method.rates) * (len(method.rates) > 1) + len(seeds) for method in methods)
    spare = range(max(seeds) + 1, max(seeds) + 1 + tries)
    with training_bar(runs, 0, progress) as advance:

        def run(method: Method, rate: float, seed: int) -> tuple[Vector, Vector, Vector, Vector]:
            place, chance = np.random.default_rng(seed).spawn(2)
            begun = task if start is None else replace(task, start=np.array(start(place), float))
            found = _followed(begun, method.walk(begun, rate, chance, cost), steps, cost, marks)
            advance(method.name, "")
            return found

        done = []
        for method in methods:
            tried = {}
            if len(method.rates) > 1:
                tried = {
                    rate: float(np.mean([run(method, rate, seed)[1][-1] for seed in spare])) for rate in method.rates
                }
            rate = min(tried, key=tried.get, default=method.rates[0])
            over_steps, over_cost, *ends = zip(*(run(method, rate, seed) for seed in seeds), strict=True)
            after = [
                _outcome(task, xs, [losses[-1] for losses in curves])
                for xs, curves in zip(ends, (over_steps, over_cost), strict=True)
            ]
            done.append(
                Descent(
                    name=method.name,
                    rate=rate,
                    tried=tried,
                    over_steps=np.array(over_steps),
                    over_cost=np.array(over_cost),
                    after_steps=after[0],
                    after_cost=after[1],
                )
            )
    return Descents(
        methods=tuple(done),
        steps=steps,
        cost=cost,
        step_marks=marks[0],
        cost_marks=marks[1],
    )


def sharpness(what: Task | Objective, at: ArrayLike) -> float:
    """The largest eigenvalue of the Hessian at x; NaN where the curvature is not known."""
    curvature = as_task(what).curvature
    if curvature is None or not curvature.exact:
        return np.nan
    return float(eigenpairs(curvature, 1, at=at, tolerance=1e-3, progress=False).values[0])


def _batches(samples: int, batch: int | None, rng: np.random.Generator) -> Iterator[Numbers | None]:
    """Numbers of samples, each once before any comes again; what does not fill a batch is left out."""
    while batch is None or batch >= samples:
        yield None
    while True:
        order = rng.permutation(samples)
        yield from order[: samples - samples % batch].reshape(-1, batch)


def _followed(
    task: Task,
    walk: Iterator[tuple[float, Vector]],
    steps: int,
    cost: float,
    marks: tuple[NDArray, NDArray],
) -> tuple[Vector, Vector, Vector, Vector]:
    """The losses at the marks of steps and of cost, and the x after the steps and at the cost.

    What counts at a mark is the last step that is within it.
    """
    x, done, spent = task.start, 0, 0.0
    limit = _FAR * (1 + np.abs(x).max())
    seen: tuple[list[Vector], list[Vector]] = ([], [])
    while len(seen[0]) < marks[0].size or len(seen[1]) < marks[1].size:
        try:
            step_cost, there = next(walk)
        except InputError:  # a gradient that is no longer finite
            break
        if not np.abs(there).max() < limit:
            break
        for places, limits, now in zip(seen, marks, (done + 1, spent + step_cost), strict=True):
            while len(places) < limits.size and limits[len(places)] < now - 1e-9 * now:
                places.append(x)
        x, done, spent = there, done + 1, spent + step_cost
    lost = np.full(task.start.size, np.nan)
    curves = []
    for places, limits in zip(seen, marks, strict=True):
        places.extend([lost] * (limits.size - len(places)))
        losses: dict[int, float] = {}  # a place that a slow method keeps is measured once
        for place in places:
            if id(place) not in losses:
                losses[id(place)] = np.inf if place is lost else task.value(place)
        curves.append(np.array([losses[id(place)] for place in places]))
    return curves[0], curves[1], seen[0][-1], seen[1][-1]


def _outcome(task: Task, xs: Sequence[Vector], losses: Sequence[float]) -> Outcome:
    alive = np.isfinite(losses)
    scores = [task.score(x) if task.score and ok else np.nan for x, ok in zip(xs, alive, strict=True)]
    sharp = [sharpness(task, x) if ok else np.nan for x, ok in zip(xs, alive, strict=True)]
    return Outcome(loss=np.array(losses, float), accuracy=np.array(scores), sharpness=np.array(sharp))


def _alike(loss: Vector, lowest: Vector) -> bool:
    if not np.isfinite([loss, lowest]).all() or loss.size < 2:
        return False
    difference = loss - lowest
    return bool(difference.mean() <= 2 * difference.std(ddof=1) / np.sqrt(difference.size))


def _spread(values: Vector, digits: int = 3) -> str:
    if np.isnan(values).all():
        return "-"
    if not np.isfinite(values).all():
        return f"{int((~np.isfinite(values)).sum())} of {values.size} lost"
    mean = f"{values.mean():.{digits}g}"
    return f"{mean} +- {values.std(ddof=1):.2g}" if values.size > 1 else mean
