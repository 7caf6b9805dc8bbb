"""Gradients of networks, written in JAX for themselves: `python jax_gradients.py numbers.npz gradients.npz`.

A step has Brian2's order: update, threshold, synapses, reset. Spikes are 0 or 1; SuperSpike stands for their
derivative. The numbers of a network are those whose names begin with its name; `x` are its input spikes, 0 or 1,
(samples, steps, inputs). Everything is in ms and double precision.
"""

import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.linalg import expm

jax.config.update("jax_enable_x64", True)

BETA = 10.0


@jax.custom_vjp
def spike(u):
    return (u > 0).astype(u.dtype)


spike.defvjp(lambda u: (spike(u), u), lambda u, g: (g / (1 + BETA * jnp.abs(u)) ** 2,))


def over_time(step, state, x):
    """What a step puts out, (samples, steps, ...), for inputs x."""
    steps = jnp.arange(x.shape[1])
    return jnp.moveaxis(lax.scan(step, state, (steps, jnp.moveaxis(x, 1, 0)))[1], 0, 1)


def cross_entropy(scores, labels):
    return -jnp.take_along_axis(jax.nn.log_softmax(scores), labels[:, None], axis=1).mean()


def lif(p, x, labels, *, detached):
    """Leaky neurons with a hard reset, a leaky readout; the highest value of the readout is the answer."""
    samples, units = len(x), p["w_out"].shape[1]
    decay, decay_out = jnp.exp(-1 / p["tau"]), jnp.exp(-1 / p["tau_out"])

    def step(state, now):
        v, readout = decay * state[0], decay_out * state[1]
        z = spike(v - p["theta"])
        v, readout = v + now[1] @ p["w_in"], readout + z @ p["w_out"]
        v = v * (1 - (lax.stop_gradient(z) if detached else z))
        return (v, readout), readout

    start = jnp.tile(p["v"], (samples, 1)), jnp.zeros((samples, units))
    return cross_entropy(over_time(step, start, x).max(axis=1), labels)


def cuba(p, x, target):
    """Recurrent neurons with currents, held for 2 ms after a spike; the readout is to follow a trace."""
    samples, (n, units) = len(x), p["w_out"].shape
    flow = expm(jnp.array([[-1 / p["tau"], 1 / p["tau"]], [0.0, -1 / p["tau_s"]]]))

    def step(state, now):
        v, current, free, readout = state
        held = now[0] < free
        v = jnp.where(held, v, flow[0, 0] * v + flow[0, 1] * current)
        current, readout = flow[1, 1] * current, jnp.exp(-1 / 15) * readout
        z = jnp.where(held, 0, spike(v - 1))
        free = jnp.where(z > 0, now[0] + 2, free)
        current, readout = current + now[1] @ p["w_in"] + z @ p["w_rec"], readout + z @ p["w_out"]
        v = v * (1 - lax.stop_gradient(z))
        return (v, current, free, readout), readout

    zeros = jnp.zeros((samples, n))
    start = zeros, zeros, jnp.zeros((samples, n), int), jnp.zeros((samples, units))
    return ((over_time(step, start, x) - target) ** 2).mean()


def alif(p, x, labels, *, detached):
    """Adaptive neurons that hear each other 2 ms later; the one that spikes most often is the answer."""
    samples, n = len(x), p["tau"].size

    def step(state, now):
        v, a, sent = state
        v, a = jnp.exp(-1 / p["tau"]) * v, jnp.exp(-1 / p["tau_a"]) * a
        z = spike(v - 1 - p["beta"] * a)
        v = v + now[1] @ p["w_in"] + sent[0] @ p["w_rec"]
        v, a = v - (lax.stop_gradient(z) if detached else z), a + z
        return (v, a, (sent[1], z)), z

    zeros = jnp.zeros((samples, n))
    return cross_entropy(over_time(step, (zeros, zeros, (zeros, zeros)), x).sum(axis=1), labels)


NETWORKS = {
    "lif": partial(lif, detached=True),
    "lif_through": partial(lif, detached=False),
    "cuba": cuba,
    "alif": partial(alif, detached=True),
    "alif_through": partial(alif, detached=False),
}

if __name__ == "__main__":
    numbers = dict(np.load(sys.argv[1]))
    found = {}
    for name, loss in NETWORKS.items():
        own = {key.partition(".")[2]: jnp.array(value) for key, value in numbers.items() if key.startswith(f"{name}.")}
        x, target = own.pop("x"), own.pop("target")
        found[f"{name}.loss"], slopes = jax.jit(jax.value_and_grad(loss))(own, x, target)
        found |= {f"{name}.{key}": slope for key, slope in slopes.items()}
    np.savez(sys.argv[2], **found)
