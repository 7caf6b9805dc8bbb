"""Catch: a ball falls, one row a step, and a paddle below is to be where it lands.

The game of Mnih, Heess, Graves & Kavukcuoglu (2014), "Recurrent models of visual attention", small: 5 columns, 10 rows.
The ball begins in any column of the top row, the paddle in any of the bottom row. Nine steps of 50 ms later the ball is
in the bottom row: the reward is 1 on the paddle, else -1, and the next episode begins. Actions: left, stay, right.
"""

from brian2 import Clock, NeuronGroup, Quantity, ms

from dvs.errors import ParameterError
from learning.td import WORLD_ORDER, WORLD_RESET_ORDER, control_clock


def catch(
    *,
    interval: Quantity | Clock = 50 * ms,
    columns: int = 5,
    rows: int = 10,
    reward_if_missed: float = -1.0,
    name: str = "catch",
) -> NeuronGroup:
    """The world: `action`, 0 left, 1 stay, 2 right, is read; `reward`, `ended` and `truncated` are written.

    ball, paddle: columns, from 0; row: of the ball, from 0. aside: how far right of the paddle the ball is. What is
    where at the end can be looked at for an interval before the reward comes. steps: of this episode. waiting: 1 before
    the run.
    """
    if columns < 2 or rows < 2:
        raise ParameterError(f"the grid has {columns} columns and {rows} rows, expected 2 or more of each")
    clock = control_clock(interval)
    world = NeuronGroup(
        1,
        """
        ball : 1
        row : 1
        paddle : 1
        action : 1
        reward : 1
        ended : 1
        truncated : 1
        steps : 1
        waiting : 1
        aside = ball - paddle : 1
        """,
        namespace={"columns": columns, "rows": rows, "reward_if_missed": reward_if_missed},
        name=name,
    )
    draw = "floor(columns*rand())"
    world.ball = draw
    world.paddle = draw
    world.waiting = 1
    world.run_regularly(
        """
        ended = int(row >= rows - 1)
        reward = ended*(int(ball == paddle)*(1 - reward_if_missed) + reward_if_missed)
        moving = (1 - ended)*(1 - waiting)
        row += moving
        paddle = clip(paddle + moving*(action - 1), 0, columns - 1)
        steps += moving
        waiting = 0
        """,
        clock=clock,
        when="start",
        order=WORLD_ORDER,
    )
    world.run_regularly(
        f"""
        ball = (1 - ended)*ball + ended*{draw}
        paddle = (1 - ended)*paddle + ended*{draw}
        row *= 1 - ended
        steps *= 1 - ended
        """,
        clock=clock,
        when="start",
        order=WORLD_RESET_ORDER,
    )
    return world
