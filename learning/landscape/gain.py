"""From which weights a network can learn: where firing dies, where it saturates, and what is between.

    found = landscape.gain_sweep(model, samples, labels, loss, np.geomspace(0.1, 100, 31))
    print(found.band, found)

The first of the bag of tricks: weights are multiplied by a gain, over decades. Below some gain a layer is silent, above
another its neurons fire whenever they can; both are flat, and a surrogate gradient finds little there (Zenke & Vogels
2021, "The remarkable robustness of surrogate gradient learning"; Rossbroich, Gygax & Zenke 2022, "Fluctuation-driven
initialization for spiking neural network training").
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvs.charts import INK, OFF, ON, legend, name_axes, prepare
from dvs.errors import InputError, ParameterError
from learning.landscape.finding import Finding
from learning.landscape.methods import by_optimiser, task_of
from learning.landscape.objective import Vector
from learning.losses import Loss
from learning.model import Model
from learning.optimisers import Adam, Optimiser
from learning.progress import training_bar

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DASHES = ("-", "--", ":", "-.")


@dataclass(frozen=True, kw_only=True, eq=False)
class GainSweep(Finding):
    """What a network does by the gain of its weights, (gains,).

    rates, dead, saturated: by layer that spikes, (gains,): spikes of a neuron in a step; share of neurons that never
    fire, in no sample; share that fire as often as they can, mean over samples. gradients: norm of the gradient by each
    parameter. loss, trained: at the beginning, and after training; inf where training was lost. most: share of dead,
    and of saturated neurons up to which a layer is of use.
    """

    gains: Vector
    rates: Mapping[str, Vector]
    dead: Mapping[str, Vector]
    saturated: Mapping[str, Vector]
    gradients: Mapping[str, Vector]
    loss: Vector
    trained: Vector
    most: float

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Whether in all layers few enough neurons are dead and few enough saturated, (gains,)."""
        shares = [*self.dead.values(), *self.saturated.values()]
        return np.all([share <= self.most for share in shares], axis=0)

    @property
    def band(self) -> tuple[float, float] | None:
        """The lowest and highest gain of the longest run of usable ones; None if none is."""
        return _longest_run(self.gains, self.usable)

    @property
    def learns(self) -> tuple[float, float] | None:
        """The same of gains whose loss after training is at most ten times the lowest; None if training was lost."""
        return _longest_run(self.gains, np.isfinite(self.trained) & (self.trained <= 10 * self.trained.min()))

    @property
    def reading(self) -> str:
        """Where it fires, and where it learns."""
        firing = "no gain is usable: at each, too many neurons are dead or saturated"
        if self.band is not None:
            firing = f"neither dead nor saturated {_span(self.band)}"
        if self.learns is None:
            return firing
        best = int(np.argmin(self.trained))
        return (
            f"{firing}; learns {_span(self.learns)}, best at {self.gains[best]:.3g}: "
            f"loss {self.loss[best]:.3g} -> {self.trained[best]:.3g}"
        )

    def plot(self, ax: "Axes | None" = None, *, show: Literal["firing", "learning"] = "firing") -> "Axes":
        """Shares and rates over the gain, or the losses before and after training; the band is shaded."""
        ax = prepare(ax, width_in=6.2, height_in=3.4)
        if self.band is not None:
            ax.axvspan(*self.band, color=INK, alpha=0.08, linewidth=0, label="usable")
        if show == "firing":
            for dash, name in zip(_DASHES * len(self.dead), self.dead, strict=False):
                kinds = {
                    "dead": (self.dead, OFF),
                    "saturated": (self.saturated, ON),
                    "spikes a step": (self.rates, INK),
                }
                for kind, (values, colour) in kinds.items():
                    ax.plot(self.gains, values[name], dash, color=colour, label=f"{name}: {kind}")
            ax.set(xscale="log", ylim=(-0.03, 1.03))
            name_axes(ax, "gain of the weights", "share of neurons; spikes a step")
            ax.legend(frameon=False, labelcolor=INK, fontsize=8, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1))
        else:
            ax.plot(self.gains, self.loss, color=INK, label="at the beginning")
            alive = np.isfinite(self.trained)
            ax.plot(self.gains[alive], self.trained[alive], "o-", markersize=3, color=ON, label="after training")
            ax.set(xscale="log", yscale="log")
            name_axes(ax, "gain of the weights", "loss")
            legend(ax)
        ax.set_xlim(self.gains[0], self.gains[-1])
        return ax


def gain_sweep(
    model: Model,
    samples: Any,
    targets: ArrayLike,
    loss: Loss,
    gains: ArrayLike,
    *,
    scaled: Sequence[str] | None = None,
    fastest: Mapping[str, float] | None = None,
    saturated: float = 0.9,
    most: float = 0.25,
    optimiser: Optimiser | None = None,
    steps: int = 30,
    batch: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> GainSweep:
    """Multiply weights by each gain, and see how the network fires, how long gradients are, and how it trains.

    gains: above 0, sorted. scaled: names of the parameters that are multiplied, by default all. fastest: by group, the
    most spikes that it can fire in a step, 1 if not given; 1/(1 + r) for neurons that are refractory for r steps.
    saturated: a neuron is where it fires this share of them. most: share of dead and of saturated neurons up to which
    a layer is of use. optimiser, steps, batch, seed: of the training at each gain; Adam(0.01) by default, 0 steps for
    none. The model stays as it is. Raises `ParameterError` and `InputError` for what does not fit.
    """
    gains = np.array(gains, float)
    if gains.ndim != 1 or not gains.size or not (gains > 0).all() or (np.diff(gains) <= 0).any():
        raise ParameterError("gains must be numbers above 0 in ascending order, such as np.geomspace(0.1, 10, 21)")
    if not (0 < saturated <= 1 and 0 <= most < 1) or steps < 0:
        raise ParameterError(
            f"saturated is {saturated}, most is {most}, steps is {steps}; expected 0 < saturated <= 1, 0 <= most < 1 "
            "and 0 steps or more"
        )
    scaled = list(model.parameters) if scaled is None else list(scaled)
    if unknown := set(scaled) - set(model.parameters):
        raise ParameterError(f"{sorted(unknown)} cannot be scaled, only {sorted(model.parameters)}")
    encoded, targets = model.encode(samples), np.asarray(targets)
    way = by_optimiser(lambda _: optimiser or Adam(0.01), batch=batch)
    before = model.parameters
    rows: list[dict[str, Mapping[str, float]]] = []
    losses: list[tuple[float, float]] = []
    try:
        with training_bar(gains.size, 0, progress) as advance:
            for gain in gains:
                model.parameters = {
                    name: value * value.dtype.type(gain) if name in scaled else value.copy()
                    for name, value in before.items()
                }
                model.changed()
                run = model.forward(encoded)
                if unknown := set(fastest or {}) - set(run.counts):
                    raise ParameterError(f"fastest is given for {sorted(unknown)}, expected {sorted(run.counts)}")
                found = model.gradient(encoded, targets, loss)
                rows.append(
                    {
                        **_firing(run.counts, model.steps, fastest or {}, saturated),
                        "gradient": {name: float(np.linalg.norm(g)) for name, g in found.gradients.items()},
                    }
                )
                task = task_of(model, encoded, targets, loss)
                x = task.start
                try:
                    for _, x in islice(way.walk(task, 0.0, np.random.default_rng(seed), 0.0), steps):  # noqa: B007
                        pass
                    losses.append((float(found.value), task.value(x)))
                except InputError:  # a gradient that is no longer finite
                    losses.append((float(found.value), np.inf))
                advance(f"gain {gain:.3g}", "")
    finally:
        model.parameters = before
        model.changed()

    def by_name(kind: str) -> dict[str, Vector]:
        return {name: np.array([row[kind][name] for row in rows]) for name in rows[0][kind]}

    at_first, trained = np.array(losses).T
    return GainSweep(
        gains=gains,
        rates=by_name("rate"),
        dead=by_name("dead"),
        saturated=by_name("saturated"),
        gradients=by_name("gradient"),
        loss=at_first,
        trained=trained,
        most=most,
    )


def _longest_run(gains: Vector, chosen: NDArray[np.bool_]) -> tuple[float, float] | None:
    runs = np.flatnonzero(np.diff([0, *chosen, 0])).reshape(-1, 2)  # first, and first that is none again
    if not runs.size:
        return None
    first, end = runs[np.argmax(runs[:, 1] - runs[:, 0])]
    return float(gains[first]), float(gains[end - 1])


def _span(band: tuple[float, float]) -> str:
    low, high = band
    return f"from a gain of {low:.3g} to {high:.3g}" if low < high else f"at a gain of {low:.3g} alone"


def _firing(
    counts: Mapping[str, NDArray], steps: int, fastest: Mapping[str, float], saturated: float
) -> dict[str, dict[str, float]]:
    """Mean rate, and shares of neurons that never fire, in no sample, and that always do, by group."""
    rates = {name: count.mean(axis=0) / steps for name, count in counts.items()}  # of each neuron
    return {
        "rate": {name: float(rate.mean()) for name, rate in rates.items()},
        "dead": {name: float((rate == 0).mean()) for name, rate in rates.items()},
        "saturated": {name: float((rate >= saturated * fastest.get(name, 1.0)).mean()) for name, rate in rates.items()},
    }
