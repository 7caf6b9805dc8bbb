"""Temporal differences against the values of Markov chains, and neuromodulators against formulas."""

import numpy as np
import pytest
from brian2 import Hz, Network, NeuronGroup, SpikeGeneratorGroup, StateMonitor, TimedArray, defaultclock, ms, mV
from numpy.testing import assert_allclose

from dvs.errors import ParameterError
from learning.modulators import dopamine, rectified, reward_prediction_error
from learning.td import actor_critic, td_error_neuron

INTERVAL_MS = 3


def told(script, states, *, start=0.0, **settings):
    """The agent after a script of (state or None, reward, ended, truncated), one an interval, and what it recorded.

    A state is one spike, heard in the last step of its interval, and forgotten within the next one: x is 1 for the
    state and 0 for all others. Reward and end are those of the way into the state, and known at the interval's end.
    """
    defaultclock.dt = 1 * ms
    shown = [(k, row[0]) for k, row in enumerate(script) if row[0] is not None]
    times_ms = [k * INTERVAL_MS + INTERVAL_MS - 2 for k, _ in shown]
    eyes = SpikeGeneratorGroup(states, [state for _, state in shown], times_ms * ms)
    agent = actor_critic(eyes, interval=INTERVAL_MS * ms, tau=0.1 * ms, rho=0 * Hz, eta=0, actors_each=1, **settings)
    agent.values.w = start
    rows = np.array([[0, 0, 0], *[row[1:] for row in script]], float)
    for name, column in zip(("reward", "ended", "truncated"), rows.T, strict=True):
        agent.critic.namespace[f"told_{name}"] = TimedArray(column, dt=INTERVAL_MS * ms)
    code = "\n".join(f"{name} = told_{name}(t)" for name in ("reward", "ended", "truncated"))
    agent.critic.run_regularly(code, dt=INTERVAL_MS * ms, when="start", order=-65)
    errors = StateMonitor(agent.critic, "td_error", record=0, dt=INTERVAL_MS * ms, when="start", order=0)
    weights = StateMonitor(agent.values, "w", record=True, dt=INTERVAL_MS * ms, when="start", order=0)
    traces = StateMonitor(agent.values_learning, "z", record=True, dt=INTERVAL_MS * ms, when="start", order=0)
    network = Network(eyes, *agent.objects, errors, weights, traces)
    network.run((len(script) * INTERVAL_MS + 1) * ms)
    return agent, errors.td_error[0][1:], weights.w[:, 1:].T, traces.z[:, 1:].T


def chain(*rewards):
    """An episode through states 0, 1, ... with these rewards on the ways; the last one leads to the end."""
    *ways, last = rewards
    return [(0, 0, 0, 0), *[(k + 1, reward, 0, 0) for k, reward in enumerate(ways)], (None, last, 1, 0)]


def random_walk(episodes, rng):
    """Sutton (1988): from the middle of five states to either end; the right one is worth 1."""
    script = []
    for _ in range(episodes):
        state = 2
        script.append((state, 0, 0, 0))
        while True:
            state += rng.choice([-1, 1])
            if not 0 <= state < 5:
                script.append((None, float(state == 5), 1, 0))
                break
            script.append((state, 0, 0, 0))
    return script


def td_by_hand(script, states, alpha, gamma, trace_decay, start):
    """Sutton & Barto (2018), section 12.2, accumulating traces: the weights after each interval."""
    w, z, before, history = np.full(states, start), np.zeros(states), None, []
    for state, reward, ended, truncated in script:
        x = np.zeros(states) if state is None else np.eye(states)[state]
        value = w @ x
        if before is not None:
            w = w + alpha * (reward + gamma * value * (1 - ended * (1 - truncated)) - before) * z
        before = None if ended else value
        z = np.zeros(states) if ended else gamma * trace_decay * z + x
        history.append(w)
    return np.array(history)


def test_td_finds_the_values_of_the_random_walk():
    """The chance to end on the right is linear between 0 and 1: 1/6, 2/6 ... 5/6 (Sutton 1988).

    The share of 50 episodes that end on the right scatters by sqrt(0.25/50) = 0.07 where it does most; the average of
    the values over the last half of 100 episodes is within twice that.
    """
    script = random_walk(100, np.random.default_rng(0))
    _, _, weights, _ = told(script, 5, gamma=1, trace_decay=0, eta_value=0.05, start=0.5)
    assert_allclose(weights[len(weights) // 2 :].mean(axis=0), np.arange(1, 6) / 6, atol=0.14)


@pytest.mark.parametrize("trace_decay", [0.0, 0.7, 1.0])
def test_synapses_do_what_td_lambda_does(trace_decay):
    script = random_walk(8, np.random.default_rng(1))
    _, _, weights, _ = told(script, 5, gamma=0.9, trace_decay=trace_decay, eta_value=0.2, start=0.5)
    assert_allclose(weights, td_by_hand(script, 5, 0.2, 0.9, trace_decay, 0.5), atol=1e-6)


def test_td_one_is_monte_carlo_on_a_chain():
    """With lambda 1 the errors after a state's visit add up to return less value: w moves by eta (G - V)."""
    rewards, gamma, eta = [0.0, 1.0, 0.0, 2.0], 0.9, 0.25
    _, _, weights, _ = told(chain(*rewards), 4, gamma=gamma, trace_decay=1, eta_value=eta, start=0.3)
    returns = [sum(gamma**n * r for n, r in enumerate(rewards[k:])) for k in range(4)]
    assert_allclose(weights[-1], 0.3 + eta * (np.array(returns) - 0.3), atol=1e-6)


def test_a_terminal_state_is_worth_nothing_and_one_at_the_limit_of_time_its_value():
    """reward - V at a terminal state, whatever is seen there; reward + gamma V' - V if time was up."""
    values = np.array([0.5, 0.8])
    for truncated, expected in ((0, 2 - 0.5), (1, 2 + 0.9 * 0.8 - 0.5)):
        script = [(0, 0, 0, 0), (1, 2, 1, truncated)]
        _, errors, _, _ = told(script, 2, gamma=0.9, eta_value=0, start=values)
        assert_allclose(errors[-1], expected, atol=1e-6)


def test_traces_are_0_after_an_end_and_the_next_episode_begins_without_an_error():
    script = [*chain(0, 1), *chain(5, 0)]
    _, errors, _, traces = told(script, 2, gamma=0.9, trace_decay=0.9, eta_value=0, start=0.7)
    end = 2
    assert traces[end - 1].any()
    assert not traces[end].any()
    assert errors[end + 1] == 0  # the first state of the second episode


def test_all_synapses_hear_one_variable():
    defaultclock.dt = 1 * ms
    agent = actor_critic(SpikeGeneratorGroup(3, [], [] * ms))
    heard = {synapses.variables["dopamine"] for synapses in (agent.values_learning, agent.policy_learning)}
    assert heard == {agent.critic.variables["dopamine"]}
    assert len(agent.critic) == 1


def test_actors_become_likelier_to_do_what_was_rewarded():
    """Two states; in each another action is right: 0.5 by chance, with a deviation of 0.05 over 100 choices."""
    defaultclock.dt = 1 * ms
    eyes = NeuronGroup(2, "state : 1 (shared)", threshold="i == state", reset="")
    agent = actor_critic(eyes, eta=0.02, eta_value=0.005, gamma=0, trace_decay=0, tau=5 * ms)
    eyes.run_regularly("state = int(rand() < 0.5)", dt=20 * ms, when="start", order=-20)
    # The reward for an action comes with the next error; the state by then is the one that the eyes still show.
    reward = StateMonitor(agent.critic, "reward", record=0, dt=20 * ms, when="start", order=0)
    was = NeuronGroup(1, "good : 1", name="was")
    was.variables.add_reference("shown", eyes, "state", index="0")
    was.variables.add_reference("done", agent.choice, "action")
    agent.critic.variables.add_reference("good", was, "good")
    agent.critic.run_regularly("reward = good", dt=20 * ms, when="start", order=-66)
    was.run_regularly("good = int(shown == done)", dt=20 * ms, when="start", order=-65)
    Network(eyes, was, *agent.objects, reward).run(4000 * ms)
    assert reward.reward[0][-100:].mean() > 0.85


def test_a_rectified_error_has_no_negative_part():
    """A value of 1 that comes to nothing is an error of -1, which a rate cannot say."""
    defaultclock.dt = 1 * ms
    critic = td_error_neuron(interval=2 * ms, gamma=0.9, tau=20 * ms)
    critic.rectified, critic.value_before, critic.going = 1, 1, 1
    network = Network(critic)
    network.run(2 * ms)
    assert (critic.td_error[0], critic.dopamine[0]) == (-1, 0)
    critic.reward = 0.5
    network.run(2 * ms)
    assert critic.td_error[0] == critic.dopamine[0] == 0.5


def test_dopamine_rises_by_the_reward_and_decays_with_tau():
    """Two rewards, 100 ms apart: level exp(-100/200) + 2 after the second, less one step's decay before it is seen."""
    defaultclock.dt = 1 * ms
    neuron = dopamine(tau=200 * ms)
    network = Network(neuron)
    neuron.reward = 1
    network.run(100 * ms)
    assert_allclose(neuron.level[0], np.exp(-100 / 200), rtol=1e-6)
    neuron.reward = 2
    network.run(1 * ms)
    assert_allclose(neuron.level[0], (np.exp(-100 / 200) + 2) * np.exp(-1 / 200), rtol=1e-6)
    assert neuron.reward[0] == 0


def test_a_reward_as_usual_is_no_surprise_and_each_stimulus_has_its_own_usual():
    """After n rewards R the running average is R (1 - (1 - 1/trials)**n); the other stimulus keeps its own."""
    defaultclock.dt = 1 * ms
    neuron = reward_prediction_error(stimuli=2, trials=4)
    network = Network(neuron)
    for n in range(5):
        neuron.stimulus, neuron.reward, neuron.known = 1, 3, 1
        network.run(1 * ms)
        assert_allclose(neuron.level[0], 3 * (1 - 1 / 4) ** n, rtol=1e-9)
    assert neuron.usual_0[0] == 0
    network.run(1 * ms)
    assert neuron.level[0] == 0


def test_a_rate_can_fall_only_to_silence():
    defaultclock.dt = 1 * ms
    source = NeuronGroup(1, "signal : 1")
    neuron = rectified(source, "signal", baseline=0.25)
    network = Network(source, neuron)
    for signal, level in ((-1, -0.25), (-0.1, -0.1), (2, 2)):
        source.signal = signal
        network.run(1 * ms)
        assert neuron.level[0] == level


def test_each_source_has_its_own_trail_and_value_and_actors_hear_it_so():
    """A spike of weight 2 and tau 10 ms and one of 3 and 40 ms, 20 ms ago; V = w x, and so u.

    A feature repeats what it heard one step later, which is when all that hears it begins to fade.
    """
    defaultclock.dt = 1 * ms
    eyes = [SpikeGeneratorGroup(1, [0], [1] * ms), SpikeGeneratorGroup(2, [1], [1] * ms)]
    agent = actor_critic(eyes, weights=[2, [5, 3]], tau=[10 * ms, [5, 40] * ms], rho=0 * Hz, interval=100 * ms)
    agent.values.w = [1.0, 1.0, -1.0]
    agent.policy.w = 0.5
    Network(*eyes, *agent.objects).run(23 * ms)
    trails = np.array([2 * np.exp(-20 / 10), 0, 3 * np.exp(-20 / 40)])
    assert_allclose(agent.features.x[:], trails, rtol=1e-9)
    assert_allclose(agent.critic.value[0], trails @ [1, 1, -1], rtol=1e-9)
    assert_allclose(agent.actors.u[:], trails.sum() / 2, rtol=1e-9)


def test_no_spike_is_lost_when_they_come_in_every_step():
    """Five in five steps: the trail is the sum of five exponentials."""
    defaultclock.dt = 1 * ms
    eyes = SpikeGeneratorGroup(1, [0] * 5, [1, 2, 3, 4, 5] * ms)
    agent = actor_critic(eyes, tau=10 * ms, rho=0 * Hz, interval=100 * ms)
    Network(eyes, *agent.objects).run(10 * ms)
    assert_allclose(agent.features.x[0], np.exp(-np.arange(3, 8) / 10).sum(), rtol=1e-9)
    assert agent.features.heard[0] == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"actions": 1}, "actions is 1, expected a whole number, 2 or more"),
        ({"gamma": 1.5}, "gamma is 1.5, expected a share from 0 to 1"),
        ({"interval": 1 * ms}, "expected two or more whole steps"),
        ({"rho": 3 * ms}, "rho is a quantity in .*, expected a rate"),
        ({"weights": [1, 1]}, "expected one for each of 1 sources"),
        ({"tau": [20, 30] * ms}, "tau are 2, expected one for each of 1 sources"),
    ],
)
def test_an_agent_says_what_is_wrong(wrong, message):
    defaultclock.dt = 1 * ms
    with pytest.raises(ParameterError, match=message):
        actor_critic(SpikeGeneratorGroup(3, [], [] * ms), **wrong)


def test_modulators_say_what_is_wrong():
    with pytest.raises(ParameterError, match=r"tau is a quantity in .*, expected a time above 0"):
        dopamine(tau=3 * mV)
    with pytest.raises(ParameterError, match="stimuli is 0"):
        reward_prediction_error(stimuli=0)
    with pytest.raises(ParameterError, match=r"trials is 0\.5"):
        reward_prediction_error(trials=0.5)
    with pytest.raises(ParameterError, match="has no single 'x'"):
        rectified(NeuronGroup(2, "x : 1"), "x")
