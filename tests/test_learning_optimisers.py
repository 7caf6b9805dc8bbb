"""Optimisers against their first steps by hand, slow twins of the papers' equations, and what they promise."""

import dataclasses
import math

import numba
import numpy as np
import pytest

from dvs.errors import InputError, ParameterError
from learning.optimisers import (
    SGD,
    AdaGrad,
    Adam,
    AdamW,
    Cosine,
    Momentum,
    Nesterov,
    RMSProp,
    StepDecay,
    WarmUp,
    clip_by_norm,
    joint_norm,
    rate_at,
)

ALL = (
    SGD(0.1),
    Momentum(0.1, momentum=0.8),
    Nesterov(0.1, momentum=0.8),
    AdaGrad(0.1),
    RMSProp(0.1, decay=0.7),
    Adam(0.1, beta1=0.8, beta2=0.9),
    AdamW(0.1, beta1=0.8, beta2=0.9, weight_decay=0.05),
)

every_optimiser = pytest.mark.parametrize("optimiser", ALL, ids=lambda optimiser: type(optimiser).__name__)


def after(optimiser, parameter, gradients):
    """A parameter after one step for each of some gradients."""
    parameters = {"p": np.array([parameter], dtype=float)}
    state = optimiser.start(parameters)
    for gradient in gradients:
        parameters, state = optimiser.step({"p": np.array([gradient], dtype=float)}, state, parameters)
    return parameters["p"].item()


def twin(optimiser, p, gradients):
    """The papers' equations on plain numbers, with no thought of speed."""
    rate, velocity, total, square, mean = optimiser.learning_rate, 0.0, 0.0, 0.0, 0.0
    for k, g in enumerate(gradients, start=1):
        match optimiser:
            case SGD():
                p -= rate * g
            case Nesterov(momentum=mu):  # before Momentum, of which it is one
                velocity = mu * velocity + g
                p -= rate * (g + mu * velocity)
            case Momentum(momentum=mu):
                velocity = mu * velocity + g
                p -= rate * velocity
            case AdaGrad(epsilon=epsilon):
                total += g * g
                p -= rate * g / (math.sqrt(total) + epsilon)
            case RMSProp(decay=decay, epsilon=epsilon):
                square = decay * square + (1 - decay) * g * g
                p -= rate * g / (math.sqrt(square) + epsilon)
            case Adam(beta1=beta1, beta2=beta2, epsilon=epsilon):
                if isinstance(optimiser, AdamW):
                    p -= rate * optimiser.weight_decay * p
                mean = beta1 * mean + (1 - beta1) * g
                square = beta2 * square + (1 - beta2) * g * g
                m, v = mean / (1 - beta1**k), square / (1 - beta2**k)
                p -= rate * m / (math.sqrt(v) + epsilon)
    return p


# Steps


@every_optimiser
def test_steps_are_those_of_the_equations(optimiser):
    gradients = [0.5, -2.0, 0.0, 3.0, 1e-3, -0.7]
    assert after(optimiser, 1.5, gradients) == pytest.approx(twin(optimiser, 1.5, gradients), rel=1e-12)


def test_a_fading_epsilon_is_the_faster_form_of_the_paper():
    """Kingma & Ba (2015), end of section 2: rate sqrt(1 - beta2^k)/(1 - beta1^k) mean/(sqrt(square) + epsilon)."""
    adam = Adam(0.1, epsilon=1e-3, fading_epsilon=True)
    gradients = [1e-4, -2e-3, 3e-4]
    p, mean, square = 1.5, 0.0, 0.0
    for k, g in enumerate(gradients, start=1):
        mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g * g
        p -= 0.1 * math.sqrt(1 - 0.999**k) / (1 - 0.9**k) * mean / (math.sqrt(square) + 1e-3)
    assert after(adam, 1.5, gradients) == pytest.approx(p, rel=1e-12)


@every_optimiser
def test_steps_are_those_of_pytorch(optimiser):
    """Ten steps on random gradients, numbers handed over one to one."""
    torch = pytest.importorskip("torch")
    twins = {
        SGD: lambda p: torch.optim.SGD(p, lr=0.1),
        Momentum: lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.8),
        Nesterov: lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.8, nesterov=True),
        AdaGrad: lambda p: torch.optim.Adagrad(p, lr=0.1),
        RMSProp: lambda p: torch.optim.RMSprop(p, lr=0.1, alpha=0.7),
        Adam: lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.8, 0.9)),
        AdamW: lambda p: torch.optim.AdamW(p, lr=0.1, betas=(0.8, 0.9), weight_decay=0.05),
    }
    rng = np.random.default_rng(11)
    parameters = {"w": rng.normal(size=50)}
    theirs = torch.tensor(parameters["w"], requires_grad=True)
    twin_of_it, state = twins[type(optimiser)]([theirs]), optimiser.start(parameters)
    for _ in range(10):
        gradient = rng.normal(size=50)
        theirs.grad = torch.tensor(gradient)
        twin_of_it.step()
        parameters, state = optimiser.step({"w": gradient}, state, parameters)
    np.testing.assert_allclose(parameters["w"], theirs.detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    ("optimiser", "expected"),
    [
        # Gradients 2, then 1, from p = 1.
        (SGD(0.1), 1 - 0.2 - 0.1),
        (Momentum(0.1, momentum=0.5), 1 - 0.2 - 0.1 * (0.5 * 2 + 1)),
        (Nesterov(0.1, momentum=0.5), 1 - 0.1 * (2 + 0.5 * 2) - 0.1 * (1 + 0.5 * 2)),
        (AdaGrad(0.1), 1 - 0.1 - 0.1 / math.sqrt(5)),
        (RMSProp(0.1, decay=0.75), 1 - 0.1 * 2 / math.sqrt(1) - 0.1 / math.sqrt(0.75 * 1 + 0.25)),
        # m = (0.5 * 1 + 0.5 * 1)/0.75 = 4/3, v = (0.75 * 1 + 0.25)/(1 - 0.75^2) = 16/7.
        (Adam(0.1, beta1=0.5, beta2=0.75), 1 - 0.1 - 0.1 * (4 / 3) / math.sqrt(16 / 7)),
        (AdamW(0.1, beta1=0.5, beta2=0.75, weight_decay=1), (0.9 - 0.1) * 0.9 - 0.1 * (4 / 3) / math.sqrt(16 / 7)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_two_steps_by_hand(optimiser, expected):
    assert after(optimiser, 1, [2, 1]) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("gradient", [1e-4, 1.0, 1e6])
@pytest.mark.parametrize("optimiser", [Adam(0.01), AdaGrad(0.01)], ids=["Adam", "AdaGrad"])
def test_the_first_adaptive_step_is_the_learning_rate_whatever_the_gradient(optimiser, gradient):
    """g/sqrt(g^2) is the sign of g."""
    assert after(optimiser, 3, [gradient]) == pytest.approx(3 - 0.01, abs=1e-5)
    assert after(optimiser, 3, [-gradient]) == pytest.approx(3 + 0.01, abs=1e-5)


def test_momentum_under_a_constant_gradient_ends_at_a_rate_that_is_larger_by_the_geometric_sum():
    """Velocity goes to g (1 + mu + mu^2 + ...) = g/(1 - mu) = 5 g for mu = 0.8."""
    optimiser = Momentum(0.1, momentum=0.8)
    assert after(optimiser, 0, [1] * 101) - after(optimiser, 0, [1] * 100) == pytest.approx(-0.5)


def test_adagrad_under_a_constant_gradient_slows_as_the_root_of_time():
    """Step k is rate/sqrt(k): the hundredth is a tenth of the first."""
    optimiser = AdaGrad(0.1)
    assert after(optimiser, 0, [3] * 100) - after(optimiser, 0, [3] * 99) == pytest.approx(-0.01)


def test_adamw_decays_weights_without_a_gradient_and_adam_leaves_them():
    """(1 - rate weight_decay)^10, and nothing else: the decay does not pass through the moments."""
    assert after(AdamW(0.1, weight_decay=0.5), 2, [0] * 10) == pytest.approx(2 * 0.95**10)
    assert after(Adam(0.1), 2, [0] * 10) == 2


def test_adamw_without_decay_is_adam():
    gradients = [0.3, -1.0, 2.0]
    assert after(AdamW(0.1, weight_decay=0), 1, gradients) == after(Adam(0.1), 1, gradients)


def test_momentum_of_zero_is_plain_descent():
    gradients = [0.3, -1.0, 2.0]
    for optimiser in (Momentum(0.1, momentum=0), Nesterov(0.1, momentum=0)):
        assert after(optimiser, 1, gradients) == pytest.approx(after(SGD(0.1), 1, gradients), rel=1e-15)


@every_optimiser
def test_a_bowl_is_descended_to_its_bottom(optimiser):
    """(a - 3)^2/2 + 5 (b + 1)^2 has its minimum at (3, -1); the rate goes down to let the adaptive ones settle."""
    optimiser = dataclasses.replace(optimiser, learning_rate=Cosine(0.15, over=600))
    if isinstance(optimiser, AdamW):
        optimiser = dataclasses.replace(optimiser, weight_decay=0.0)
    parameters = {"a": np.array([0.0]), "b": np.array([1.0])}
    state = optimiser.start(parameters)
    for _ in range(600):
        gradients = {"a": parameters["a"] - 3, "b": 10 * (parameters["b"] + 1)}
        parameters, state = optimiser.step(gradients, state, parameters)
    bottom = 0.6 if isinstance(optimiser, AdaGrad) else 1e-3  # whose rate has gone down as 1/sqrt(k), too
    assert abs(parameters["a"].item() - 3) < bottom
    assert abs(parameters["b"].item() + 1) < bottom


# States


@every_optimiser
def test_nothing_that_goes_in_is_changed(optimiser):
    parameters = {"w": np.ones((2, 3))}
    state = optimiser.start(parameters)
    gradients = {"w": np.full((2, 3), 0.5)}
    optimiser.step(gradients, state, parameters)
    assert (parameters["w"] == 1).all()
    assert (gradients["w"] == 0.5).all()
    assert state.steps == 0
    assert not any(array.any() for array in state.memory["w"].values())


@every_optimiser
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_in_place_gives_the_same_numbers_in_the_same_arrays(optimiser, dtype):
    rng = np.random.default_rng(3)
    parameters = {"w": rng.normal(size=(5, 7)).astype(dtype)}
    ours = {"w": parameters["w"].copy()}
    state, our_state = optimiser.start(parameters), optimiser.start(ours)
    kept = ours["w"]
    for _ in range(3):
        gradients = {"w": rng.normal(size=(5, 7)).astype(dtype)}
        parameters, state = optimiser.step(gradients, state, parameters)
        ours, our_state = optimiser.step(gradients, our_state, ours, in_place=True)
    assert ours["w"] is kept
    assert parameters["w"].dtype == dtype
    np.testing.assert_array_equal(ours["w"], parameters["w"])
    for kind, array in state.memory["w"].items():
        assert array.dtype == dtype
        np.testing.assert_array_equal(our_state.memory["w"][kind], array)


@every_optimiser
def test_a_kept_state_resumes_exactly(optimiser):
    """Four steps at once are two, a copy of everything, and two more, to the last bit."""
    rng = np.random.default_rng(5)
    gradients = [{"w": rng.normal(size=4)} for _ in range(4)]
    whole = halves = {"w": rng.normal(size=4)}
    state = half_state = optimiser.start(whole)
    for gradient in gradients:
        whole, state = optimiser.step(gradient, state, whole)
    for gradient in gradients[:2]:
        halves, half_state = optimiser.step(gradient, half_state, halves)
    memory = {"w": {kind: array.copy() for kind, array in half_state.memory["w"].items()}}
    half_state = dataclasses.replace(half_state, memory=memory)
    for gradient in gradients[2:]:
        halves, half_state = optimiser.step(gradient, half_state, halves)
    np.testing.assert_array_equal(halves["w"], whole["w"])


def test_every_parameter_is_on_its_own():
    """Two parameters together are each alone, whatever their shapes; a number is a parameter too."""
    gradients = {"w": np.array([[1.0, 2.0]]), "tau": np.array(0.5)}
    parameters = {"w": np.array([[3.0, 4.0]]), "tau": np.array(20.0)}
    together, _ = Adam(0.1).step(gradients, Adam(0.1).start(parameters), parameters)
    for name in parameters:
        alone = {name: parameters[name]}
        stepped, _ = Adam(0.1).step({name: gradients[name]}, Adam(0.1).start(alone), alone)
        np.testing.assert_array_equal(stepped[name], together[name])
        assert together[name].shape == parameters[name].shape


def test_columns_of_a_larger_array_can_be_parameters():
    columns = np.arange(12.0).reshape(3, 4)[:, ::2]
    stepped, _ = SGD(1.0).step({"w": columns}, SGD().start({"w": columns}), {"w": columns})
    np.testing.assert_array_equal(stepped["w"], np.zeros((3, 2)))


# Schedules


def test_a_number_is_a_constant_schedule():
    assert {rate_at(0.1, steps) for steps in (0, 10, 10_000)} == {0.1}


def test_step_decay_multiplies_at_every_so_many_steps():
    schedule = StepDecay(0.8, every=10, factor=0.5)
    assert [schedule(steps) for steps in (0, 9, 10, 19, 20, 30)] == [0.8, 0.8, 0.4, 0.4, 0.2, 0.1]


def test_cosine_starts_high_ends_low_and_is_halfway_in_the_middle():
    """At a third of the way cos(pi/3) = 1/2: three quarters of the height are left."""
    schedule = Cosine(1.0, over=300, floor=0.2)
    assert [round(schedule(steps), 12) for steps in (0, 100, 150, 300, 1000)] == [1.0, 0.8, 0.6, 0.2, 0.2]


def test_warm_up_grows_linearly_and_then_follows_its_schedule():
    schedule = WarmUp(StepDecay(1.0, every=10, factor=0.5), over=4)
    assert [schedule(steps) for steps in (0, 1, 2, 3, 4, 10)] == [0.25, 0.5, 0.75, 1.0, 1.0, 0.5]


def test_a_schedule_sets_the_rate_of_each_step():
    """Rates 1 and 0.1 on gradients of 1."""
    assert after(SGD(StepDecay(1.0, every=1)), 0, [1, 1]) == pytest.approx(-1.1)
    assert after(SGD(lambda steps: 1.0 + steps), 0, [1, 1]) == pytest.approx(-3)


# Norms


def test_a_long_gradient_is_shortened_and_keeps_its_direction():
    """(3, 4) and 12 together have norm 13."""
    gradients = {"w": np.array([3.0, 4.0]), "b": np.array([12.0])}
    clipped, norm = clip_by_norm(gradients, 1.3)
    assert norm == pytest.approx(13)
    np.testing.assert_allclose(clipped["w"], [0.3, 0.4])
    np.testing.assert_allclose(clipped["b"], [1.2])


def test_a_short_gradient_is_left_as_it_is():
    gradients = {"w": np.array([3.0, 4.0])}
    clipped, norm = clip_by_norm(gradients, 5.0)
    assert norm == 5
    assert clipped["w"] is gradients["w"]


def test_norms_beyond_the_squares_of_float32_are_right():
    """1e26 squared is inf in float32; exploding recurrent gradients are that large."""
    gradients = {"w": np.full(10_000, 1e26, dtype=np.float32)}
    clipped, norm = clip_by_norm(gradients, 1.0)
    assert norm == pytest.approx(1e28, rel=1e-6)
    assert clipped["w"].dtype == np.float32
    assert joint_norm(clipped) == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 10_001])
def test_norm_counts_every_element_once(size):
    """size ones: the square root of size."""
    assert joint_norm({"w": np.ones(size)}) == pytest.approx(math.sqrt(size))


def test_number_of_threads_changes_no_bit():
    """Clipping and a step of Adam on one thread and on all of them."""
    gradients = {"w": np.random.default_rng(7).normal(size=50_001).astype(np.float32)}

    def stepped():
        clipped, norm = clip_by_norm(gradients, 1.0)
        parameters, _ = Adam().step(clipped, Adam().start(gradients), gradients)
        return norm, parameters["w"]

    threads = numba.get_num_threads()
    norm, expected = stepped()
    numba.set_num_threads(1)
    try:
        single_norm, single = stepped()
    finally:
        numba.set_num_threads(threads)
    assert single_norm == norm
    np.testing.assert_array_equal(single, expected)


# What is refused


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_gradients_that_are_no_numbers_are_refused_and_nothing_is_overwritten(bad):
    parameters = {"a": np.ones(2), "b": np.ones(2)}
    gradients = {"a": np.ones(2), "b": np.array([0.0, bad])}
    with pytest.raises(InputError, match="gradient of 'b' holds NaN or inf"):
        SGD().step(gradients, SGD().start(parameters), parameters, in_place=True)
    assert (parameters["a"] == 1).all()
    with pytest.raises(InputError, match="gradients of b hold NaN or inf"):
        clip_by_norm(gradients, 1.0)


@pytest.mark.parametrize(
    ("gradients", "problem"),
    [
        ({"v": np.ones(2)}, "gradients: for .'v'., expected the parameters .'w'."),
        ({"w": np.ones(3)}, "gradient of 'w' has shape .3,., expected .2,."),
    ],
)
def test_gradients_of_something_else_are_refused(gradients, problem):
    parameters = {"w": np.ones(2)}
    with pytest.raises(InputError, match=problem):
        Adam().step(gradients, Adam().start(parameters), parameters)


def test_a_state_of_something_else_is_refused():
    parameters = {"w": np.ones(2)}
    with pytest.raises(InputError, match="the optimiser's state: for"):
        Adam().step(parameters, Adam().start({"v": np.ones(2)}), parameters)
    with pytest.raises(InputError, match="remembers"):
        Adam().step(parameters, Momentum().start(parameters), parameters)
    with pytest.raises(InputError, match="mean of 'w' has shape"):
        Adam().step(parameters, Adam().start({"w": np.ones(3)}), parameters)


def test_whole_numbers_are_no_parameters():
    with pytest.raises(InputError, match="expected an array of float32"):
        SGD().step({"w": np.ones(2)}, SGD().start({"w": np.ones(2)}), {"w": np.array([1, 2])})


def test_what_cannot_be_overwritten_is_refused_in_place():
    parameters = {"w": np.ones((4, 4))[:, ::2]}
    with pytest.raises(InputError, match="contiguous"):
        SGD().step(parameters, SGD().start(parameters), parameters, in_place=True)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: SGD(0), "learning rate is 0"),
        (lambda: Adam(math.nan), "learning rate is nan"),
        (lambda: Adam(beta1=1.0), "beta1 is 1.0, expected 0 <= beta1 < 1"),
        (lambda: Momentum(momentum=-0.1), "momentum is -0.1"),
        (lambda: RMSProp(epsilon=0), "epsilon is 0"),
        (lambda: AdaGrad(epsilon=-1), "epsilon is -1"),
        (lambda: AdamW(weight_decay=-1), "weight_decay is -1"),
        (lambda: StepDecay(0.1, every=0), "every is 0"),
        (lambda: Cosine(0.1, over=10, floor=0.2), "floor is 0.2"),
        (lambda: WarmUp(0.1, over=-5), "over is -5"),
        (lambda: rate_at(lambda steps: -1.0, 7), "after 7 steps"),
        (lambda: clip_by_norm({"w": np.ones(2)}, 0), "max_norm is 0"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(make, problem):
    with pytest.raises(ParameterError, match=problem):
        make()
