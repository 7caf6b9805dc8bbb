"""A film of an agent at work: the world, what the camera sees of it, spikes, value and its error."""

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from brian2 import ms
from numpy.typing import NDArray

from dvs.charts import INK, OFF, ON
from dvs.errors import FormatError, ParameterError
from dvs.events import EventArray
from dvs.film import Film
from dvs.rendering import accumulate
from learning.agent import EventAgent, Life, train
from snn.probes.pictures import name_axes, prepare

if TYPE_CHECKING:
    from learning.event_env import EventEnv

_SHOWN_S = 2.0
_BACKGROUND = "white"


def film(
    path: str | os.PathLike[str],
    env: "EventEnv",
    agent: EventAgent,
    *,
    steps: int = 500,
    seed: int = 0,
    every: int = 1,
    overwrite: bool = False,
) -> Life:
    """An .mp4 of so many steps in real time: world, events, spikes, value and TD error side by side.

    agent: made with record=["retina", "agent_actors"] or other groups; each is a raster. It stops learning for the
    film. every: one picture for so many steps. Returns the episodes. Raises `OutputError` where the file exists or
    cannot be written, `FormatError` for another suffix, and `ParameterError` for an agent that records no spikes.
    """
    learning = (agent.brain.values_learning, agent.brain.policy_learning)
    rates = [synapses.variables["eta"].get_value() for synapses in learning]
    kept = [rate.copy() for rate in rates]
    with _Scene(Path(path), env, agent, every, overwrite) as pictures:
        try:
            for rate in rates:
                rate[:] = 0
            return train(env, agent, steps, seed=seed, watch=pictures.watch)
        finally:
            for rate, before in zip(rates, kept, strict=True):
                rate[:] = before


class _Scene:
    """Draws and encodes a picture after each `every` steps."""

    def __init__(self, target: Path, env: "EventEnv", agent: EventAgent, every: int, overwrite: bool) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        if target.suffix.lower() != ".mp4":
            raise FormatError(f"a film is an .mp4, not {target.name}; choose that suffix")
        if every < 1:
            raise ParameterError(f"every is {every}, expected 1 or more steps a picture")
        self._env, self._every = env, every
        self._groups = agent.recorded
        if not self._groups:
            raise ParameterError('the agent records no spikes; make it with record=["retina", "agent_actors"]')
        self._step_s = env.step_us * 1e-6
        self._shown = round(_SHOWN_S / self._step_s)
        self._lines = np.full((2, self._shown), np.nan)
        self._spikes: list[Sequence[NDArray]] = []
        self._seen: list[EventArray] = []
        self._count = 0
        self._figure = self._draw_axes(agent)
        self._canvas = FigureCanvasAgg(self._figure)
        self._canvas.draw()
        width, height = self._canvas.get_width_height()
        fps = 1 / (self._step_s * every)
        self._film = Film(target, (height, width), fps=fps, overwrite=overwrite)

    def watch(self, agent: EventAgent, events: EventArray, info: dict[str, Any]) -> None:
        """Keep what happened in this step; draw it if it is time."""
        self._lines = np.roll(self._lines, -1, axis=1)
        self._lines[:, -1] = agent.value, agent.td_error
        self._spikes.append([np.stack([s.neuron, np.asarray(s.t / ms)]) for s in agent.spikes.values()])
        del self._spikes[: -self._shown]
        self._seen.append(events)
        self._count += 1
        if self._count % self._every == 0:
            self._take(info)
            self._seen.clear()

    def _draw_axes(self, agent: EventAgent) -> Any:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(12.8, 7.2), dpi=100, facecolor=_BACKGROUND)
        left = figure.add_gridspec(
            2, 1, left=0.03, right=0.485, top=0.93, bottom=0.08, height_ratios=[8, 3], hspace=0.22
        )
        sizes = [len(agent.network[name]) for name in self._groups]
        right = figure.add_gridspec(
            len(sizes) + 2, 1, left=0.56, right=0.98, top=0.93, bottom=0.08, hspace=0.35,
            height_ratios=[*(1.4 for _ in sizes), 1, 1],
        )  # fmt: skip
        self._clock = figure.text(0.985, 0.965, "", ha="right", color=INK, fontsize=11)
        world, events = (figure.add_subplot(part, xticks=[], yticks=[]) for part in left)
        for axes, title in ((world, "world"), (events, "what the event camera sees")):
            axes.set_title(title, loc="left", color=INK, fontsize=11, fontweight="bold")
        self._world = world.imshow(np.asarray(self._env.render()))
        self._events = events.imshow(self._picture(), interpolation="nearest")
        self._dots = []
        rasters = [figure.add_subplot(right[k]) for k in range(len(sizes))]
        for axes, name, size in zip(rasters, self._groups, sizes, strict=True):
            self._dots.append(axes.plot([], [], "|", color=INK, markersize=max(1.5, 90 / size), markeredgewidth=0.7)[0])
            name_axes(prepare(axes), "", name.removeprefix("agent_"))
            axes.set(xlim=(-_SHOWN_S, 0), ylim=(-1, size), xticklabels=[])
        rasters[0].set_title("spikes", loc="left", color=INK, fontsize=11, fontweight="bold")
        self._curves = []
        for k, (name, colour) in enumerate((("value", ON), ("TD error", OFF))):
            axes = prepare(figure.add_subplot(right[len(sizes) + k]))
            axes.axhline(0, color=INK, linewidth=0.6, alpha=0.5)
            self._curves.append(axes.plot([], [], color=colour, linewidth=1.6)[0])
            name_axes(axes, "time (s)" if k else "", name)
            axes.set(xlim=(-_SHOWN_S, 0), ylim=(-1.1, 0.6))
            if not k:
                axes.set_xticklabels([])
        return figure

    def _picture(self) -> NDArray[np.uint8]:
        seen = np.concatenate(self._seen) if self._seen else self._env.observation_space.sample()[:0]
        return accumulate(seen, self._env.width, self._env.height, "light")

    def _take(self, info: dict[str, Any]) -> None:
        self._world.set_data(np.asarray(self._env.render()))
        self._events.set_data(self._picture())
        self._clock.set_text(f"{info['until_us'] * 1e-6:.2f} s")
        ago_s = self._step_s * np.arange(-len(self._spikes), 0)
        for number, dots in enumerate(self._dots):
            parts = [
                (step[number][0], step[number][1] * 1e-3 + start)
                for step, start in zip(self._spikes, ago_s, strict=True)
            ]
            dots.set_data(np.concatenate([t for _, t in parts]), np.concatenate([i for i, _ in parts]))
        for curve, values in zip(self._curves, self._lines, strict=True):
            curve.set_data(self._step_s * np.arange(-self._shown + 1, 1), values)
            reach = np.nanmax(np.abs(values)) if np.isfinite(values).any() else 0.0
            low, high = curve.axes.get_ylim()
            if reach > max(-low, high):
                curve.axes.set_ylim(-1.2 * reach, 1.2 * reach)
        self._canvas.draw()
        self._film.add(np.asarray(self._canvas.buffer_rgba())[..., :3])

    def __enter__(self) -> "_Scene":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._film.__exit__(kind, error, trace)
