"""A maze with walls, a goal and place cells: an agent's position as the equations of one neuron.

A trial: the agent is held at a start until its place cells have been heard; it goes where it is steered, and is thrown
back by walls, each time with a small punishment; at the goal there is a reward, or a time limit ends the trial; then
it is nowhere, and no place cell fires. Then the next trial begins. So do the agents of Frémaux, Sprekeler & Gerstner
(2013), "Reinforcement learning using a continuous time actor-critic framework with spiking neurons".
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from brian2 import Hz, NeuronGroup, Quantity, cm, have_same_dimensions, linked_var, metre, ms, second
from brian2.core.variables import VariableView
from numpy.typing import ArrayLike, NDArray

from dvs.errors import ParameterError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Point = tuple[float, float]
Box = tuple[float, float, float, float]

_STATE = """
x : metre
y : metre
phase : integer  # 0 held at the start, 1 on its way, 2 nowhere
elapsed : second  # in this phase
origin : integer
reached : integer  # was the last trial's end the goal?
latency : second  # of the last trial
ended : integer
restart : integer
present : integer
plastic : integer
slow : 1
fast : 1
r : Hz  # reward
"""

# One step. A number that is 0 or 1 chooses between the old and the new of each variable.
_STEP = """
held = int(phase == 0)*int(elapsed >= hold)
arrived = int(phase == 1)*int((x - goal_x)**2 + (y - goal_y)**2 < goal_radius**2)
ended = arrived + int(phase == 1)*int(elapsed >= limit)*(1 - arrived)
restart = int(phase == 2)*int(elapsed >= rest)
latency = latency + ended*(elapsed - latency)
reached = reached + ended*(arrived - reached)
chance = rand()
origin = origin + restart*(int({starts}*chance) - origin)
x = x + restart*({start_x} - x)
y = y + restart*({start_y} - y)
phase = phase + held + ended - 2*restart
elapsed = elapsed*(1 - held)*(1 - ended)*(1 - restart) + dt
present = int(phase < 2)
plastic = int(phase == 1) + int(phase == 2)*reached
moves = int(phase == 1)
new_x = x + moves*vx*dt
new_y = y + moves*vy*dt
hit = moves*(1 - {new_is_free})
speed = sqrt(vx**2 + vy**2) + 1e-12*metre/second
back_x = x - bounce*vx/speed
back_y = y - bounce*vy/speed
thrown = hit*{back_is_free}
x = x + (1 - hit)*(new_x - x) + thrown*(back_x - x)
y = y + (1 - hit)*(new_y - y) + thrown*(back_y - y)
pulse = reward*arrived + punishment*hit
slow = slow*exp(-dt/tau_decay) + pulse
fast = fast*exp(-dt/tau_rise) + pulse
r = (slow - fast)/(tau_decay - tau_rise)
"""


@dataclass(frozen=True, kw_only=True)
class Maze:
    """A square between walls at +-half, with obstacles, places to start at, a goal, and a grid of place cells.

    Lengths are in units of `unit`. obstacles: boxes (x_min, y_min, x_max, y_max) that cannot be entered; by default a
    U about the goal, open at the top. reward: how much there is at the goal, released as a difference of exponentials
    of area 1. punishment: of each touch of a wall, which throws back by `bounce`. limit, hold and rest: how long an
    agent may run, is held before, and is nowhere after. A place cell at distance d fires at
    rate exp(-d^2/width^2); there are `cells` by `cells` of them, `spacing` apart.

    From the authors' figure 4: square, goal in the middle, four starts, a U that three of them must go round. Numbers
    of place cells, reward, punishment, bounce and times: those of a program that repeats the paper, gw.c of
    numericalbrainorg/snsbook. Chosen here: the sides of the obstacle, where the starts are, and that a unit is 10 cm.
    """

    half: float = 8.0
    obstacles: tuple[Box, ...] = ((-3.5, -3.5, -2.5, 1.0), (2.5, -3.5, 3.5, 1.0), (-3.5, -3.5, 3.5, -2.5))
    starts: tuple[Point, ...] = ((0.0, 6.5), (-6.5, 0.0), (0.0, -6.5), (6.5, 0.0))
    goal: Point = (0.0, 0.0)
    goal_radius: float = 1.0
    unit: Quantity = field(default_factory=lambda: 10 * cm)
    reward: float = 100.0
    punishment: float = -1.0
    bounce: float = 0.1
    tau_decay: Quantity = field(default_factory=lambda: 200 * ms)
    tau_rise: Quantity = field(default_factory=lambda: 10 * ms)
    limit: Quantity = field(default_factory=lambda: 50 * second)
    hold: Quantity = field(default_factory=lambda: 1 * second)
    rest: Quantity = field(default_factory=lambda: 1 * second)
    cells: int = 11
    spacing: float = 2.0
    width: float = 2.0
    rate: Quantity = field(default_factory=lambda: 400 * Hz)

    def __post_init__(self) -> None:
        for name, points in (("starts", self.starts), ("goal", (self.goal,))):
            if not len(points) or not np.all(self.is_free(*np.array(points, float).T)):
                raise ParameterError(f"{name} of the maze: {points} came, expected places between the walls")

    def is_free(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.bool_]:
        """Whether an agent can be at places x, y (any shape, in units of `unit`)."""
        x, y = np.asarray(x, float), np.asarray(y, float)
        free = (np.abs(x) < self.half) & (np.abs(y) < self.half)
        for x_min, y_min, x_max, y_max in self.obstacles:
            free &= ~((x > x_min) & (x < x_max) & (y > y_min) & (y < y_max))
        return free

    def centres(self) -> NDArray[np.float64]:
        """Where place cells fire most, (cells^2, 2), in units of `unit`."""
        line = (np.arange(self.cells) - (self.cells - 1) / 2) * self.spacing
        return np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)

    def rates(self, x: ArrayLike, y: ArrayLike) -> Quantity:
        """Rates of the place cells at places x, y (each of n, in units of `unit`): (n, cells^2)."""
        places = np.stack([np.atleast_1d(x), np.atleast_1d(y)], axis=-1)
        squares = ((places[:, None] - self.centres()) ** 2).sum(axis=-1)
        return self.rate * np.exp(-squares / self.width**2)

    def world(
        self, velocity: tuple[VariableView | Quantity, VariableView | Quantity], *, name: str = "world*"
    ) -> NeuronGroup:
        """The agent as a group of one neuron, whose spike is the end of a trial.

        velocity: two variables of a group of one neuron, or two fixed speeds. Variables: x, y; `r`, the reward;
        `origin`, `reached` and `latency` of a trial, to be read by a monitor at the spike; `present` is 0 while it is
        nowhere; `plastic` is 0 while nothing is to be learnt; `restart` is 1 in the step in which a trial begins.
        """
        steered = isinstance(velocity[0], VariableView)
        model = _STATE + ("vx : metre/second (linked)\nvy : metre/second (linked)" if steered else "")
        namespace = {
            "half": self.half * self.unit,
            "goal_x": self.goal[0] * self.unit,
            "goal_y": self.goal[1] * self.unit,
            "goal_radius": self.goal_radius * self.unit,
            "bounce": self.bounce * self.unit,
            "unit_length": self.unit,
            "reward": self.reward,
            "punishment": self.punishment,
            **{name: getattr(self, name) for name in ("tau_decay", "tau_rise", "limit", "hold", "rest")},
        }
        if not steered:
            if not have_same_dimensions(velocity[0], metre / second):
                raise ParameterError(f"velocity is {velocity}, expected two variables or two speeds")
            namespace |= {"vx": velocity[0], "vy": velocity[1]}
        group = NeuronGroup(1, model, threshold="ended > 0", reset="", namespace=namespace, name=name)
        if steered:
            group.vx, group.vy = (linked_var(view.group, view.name) for view in velocity)
        step = _STEP.format(
            starts=len(self.starts),
            start_x=_choice([x for x, _ in self.starts]),
            start_y=_choice([y for _, y in self.starts]),
            new_is_free=self._free_text("new_x", "new_y"),
            back_is_free=self._free_text("back_x", "back_y"),
        )
        group.run_regularly(step, when="start")
        group.phase = 2
        group.elapsed = self.rest  # the first step begins a trial
        return group

    def place_cells(self, world: NeuronGroup, *, name: str = "place_cells*") -> NeuronGroup:
        """Place cells that fire by chance, at the rates of where the agent is: (cells^2,)."""
        group = NeuronGroup(
            self.cells**2,
            """rate = present*peak*exp(-((x - centre_x)**2 + (y - centre_y)**2)/width**2) : Hz
            centre_x : metre (constant)
            centre_y : metre (constant)
            x : metre (linked)
            y : metre (linked)
            present : integer (linked)""",
            threshold="rand() < rate*dt",
            reset="",
            namespace={"peak": self.rate, "width": self.width * self.unit},
            name=name,
        )
        group.centre_x, group.centre_y = self.centres().T * self.unit
        group.x, group.y, group.present = (linked_var(world, variable) for variable in ("x", "y", "present"))
        return group

    def plot(self, ax: "Axes") -> "Axes":
        """Draw walls, obstacles, goal and starts."""
        from matplotlib.patches import Circle, Rectangle

        side = 2 * self.half
        ax.add_patch(Rectangle((-self.half, -self.half), side, side, fill=False, edgecolor="0.2", linewidth=1.5))
        for x_min, y_min, x_max, y_max in self.obstacles:
            ax.add_patch(Rectangle((x_min, y_min), x_max - x_min, y_max - y_min, color="0.35", linewidth=0))
        ax.add_patch(Circle(self.goal, self.goal_radius, fill=False, edgecolor="0.1", linewidth=1.5))
        ax.plot(*np.array(self.starts).T, "x", color="0.1", markersize=6)
        ax.set(xlim=(-self.half - 0.3, self.half + 0.3), ylim=(-self.half - 0.3, self.half + 0.3), aspect="equal")
        return ax

    def _free_text(self, x: str, y: str) -> str:
        inside = f"int(abs({x}) < half)*int(abs({y}) < half)"
        outside = [
            f"*(1 - int({x} > {a}*unit_length)*int({x} < {c}*unit_length)"
            f"*int({y} > {b}*unit_length)*int({y} < {d}*unit_length))"
            for a, b, c, d in self.obstacles
        ]
        return f"({inside}{''.join(outside)})"


def _choice(values: Sequence[float]) -> str:
    terms = [f"{value}*int(origin == {number})" for number, value in enumerate(values)]
    return f"unit_length*({' + '.join(terms)})"
