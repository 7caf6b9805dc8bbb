"""A pole on a cart, as a neuron: pushed to the left or to the right every 20 ms, it is to stay upright.

Equations and constants of Barto, Sutton & Anderson (1983), appendix, without friction, as in Gymnasium's CartPole-v1:
explicit Euler, so that between two pushes the cart and the pole move at constant speed. An episode ends when the pole
leans by more than 12 degrees or the cart is 2.4 m from the middle (reward -1, else 0), or after 500 pushes.
"""

from brian2 import Clock, NeuronGroup, Quantity, ms

from learning.td import WORLD_ORDER, WORLD_RESET_ORDER, control_clock

# metre, second, kilogram, radian.
CONSTANTS = {
    "gravity": 9.8,
    "cart_mass": 1.0,
    "pole_mass": 0.1,
    "half_length": 0.5,
    "force": 10.0,
    "tau_s": 0.02,
    "farthest": 2.4,
    "steepest": 12 * 2 * 3.141592653589793 / 360,
}


_STATE = ("x", "x_dot", "theta", "theta_dot")


def cartpole(
    *,
    interval: Quantity | Clock = 20 * ms,
    most_steps: int = 500,
    reward_at_failure: float = -1.0,
    name: str = "cartpole",
) -> NeuronGroup:
    """The world: `action`, 0 to the left or 1 to the right, is read; `reward`, `ended` and `truncated` are written.

    x, x_dot, theta, theta_dot: the state at the last push. x_seen, theta_seen: where cart and pole are now. steps:
    pushes of this episode. An episode begins with the state within 0.05 of 0, by chance, and with an interval in which
    the world stands still to be looked at.
    """
    clock = control_clock(interval)
    world = NeuronGroup(
        1,
        """
        x : 1
        x_dot : 1
        theta : 1
        theta_dot : 1
        action : 1
        pushed : 1
        reward : 1
        ended : 1
        truncated : 1
        steps : 1
        waiting : 1
        since : second
        elapsed = int(waiting == 0)*(t - since)/second : 1
        x_seen = x + x_dot*elapsed : 1
        theta_seen = theta + theta_dot*elapsed : 1
        """,
        namespace={**CONSTANTS, "most_steps": most_steps, "reward_at_failure": reward_at_failure},
        name=name,
    )
    for variable in _STATE:
        setattr(world, variable, "0.05*(2*rand() - 1)")
    world.waiting = 2  # one of them for the beginning of the run
    world.run_regularly(
        """
        moving = int(waiting == 0)
        push = (force*(2*pushed - 1) + pole_mass*half_length*theta_dot**2*sin(theta))/(cart_mass + pole_mass)
        turn = gravity*sin(theta) - cos(theta)*push
        turn = turn/(half_length*(4.0/3.0 - pole_mass*cos(theta)**2/(cart_mass + pole_mass)))
        speed_up = push - pole_mass*half_length*turn*cos(theta)/(cart_mass + pole_mass)
        x += moving*tau_s*x_dot
        x_dot += moving*tau_s*speed_up
        theta += moving*tau_s*theta_dot
        theta_dot += moving*tau_s*turn
        steps += moving
        failed = int(abs(x) > farthest)
        failed = clip(failed + int(abs(theta) > steepest), 0, 1)
        truncated = int(steps >= most_steps)*(1 - failed)
        ended = failed + truncated
        reward = reward_at_failure*failed
        waiting = clip(waiting - 1, 0, inf)
        since = t
        pushed = action
        """,
        clock=clock,
        when="start",
        order=WORLD_ORDER,
    )
    world.run_regularly(
        "\n".join(f"{one} = (1 - ended)*{one} + ended*0.05*(2*rand() - 1)" for one in _STATE)
        + "\nsteps *= 1 - ended\nwaiting = clip(waiting + ended, 0, 1)",
        clock=clock,
        when="start",
        order=WORLD_RESET_ORDER,
    )
    return world
