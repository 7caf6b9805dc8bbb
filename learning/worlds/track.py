"""A straight track to a reward, run at constant speed: the value of each place is then known.

Of Frémaux, Sprekeler & Gerstner (2013), figure 2: the maze without an obstacle and without a choice. The value at time
t is reward exp(-(T - t)/tau_r), with T the time at which the reward comes: on average 210 ms after the goal is touched.
"""

from dataclasses import dataclass, field

import numpy as np
from brian2 import NeuronGroup, Quantity, metre, second
from numpy.typing import NDArray

from dvs.errors import ParameterError
from learning.worlds.maze import Maze


@dataclass(frozen=True, kw_only=True)
class Track(Maze):
    """From the left to the goal at the right in `duration`: no obstacle, no steering, no wall on the way."""

    obstacles: tuple[tuple[float, float, float, float], ...] = ()
    starts: tuple[tuple[float, float], ...] = ((-7.0, 0.0),)
    goal: tuple[float, float] = (5.0, 0.0)
    goal_radius: float = 1.0
    duration: Quantity = field(default_factory=lambda: 4 * second)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.duration > 0 * second:
            raise ParameterError(f"duration of the track is {self.duration}, expected more than 0 s")

    @property
    def speed(self) -> Quantity:
        """Of the agent, so that it touches the goal after `duration`."""
        way = np.hypot(self.goal[0] - self.starts[0][0], self.goal[1] - self.starts[0][1]) - self.goal_radius
        return way * self.unit / self.duration

    def world(self, velocity: tuple[Quantity, Quantity] | None = None, *, name: str = "world*") -> NeuronGroup:
        """The agent as a group of one neuron; it goes straight to the goal."""
        return super().world(velocity or (self.speed, 0 * metre / second), name=name)

    @property
    def delivery(self) -> Quantity:
        """When the reward comes, on average, after the agent was let go: the release takes tau_decay + tau_rise."""
        return self.duration + self.tau_decay + self.tau_rise

    def value(self, t: Quantity, tau_r: Quantity) -> NDArray[np.float64]:
        """The value at times t after the agent was let go, of t's shape."""
        return self.reward * np.exp(np.asarray((t - self.delivery) / tau_r))
