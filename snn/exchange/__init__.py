"""Exchange with other simulators and with neuromorphic hardware through NIR (Pedersen et al. 2024), both ways.

    write_nir("retina.nir", network)
    network = read_nir("trained.nir", dt=0.1 * ms)

What becomes what; `to_nir` recognises a model by its equations, whatever its variables are called:

    Brian2                                            NIR
    ------------------------------------------------  --------------------------------------------------------
    dv/dt = (v_rest - v + R*I)/tau                    LIF; LI without a threshold
    dI/dt = -I/tau_syn besides                        CubaLIF, CubaLI; w_in = tau_syn/dt
    dI/dt = -I/dt besides, method "euler"             LIF, LI: a current that lasts one step
    synapses with v_post += w                         LIF, LI with r = tau/dt; IF, I with r = 1/dt
    dv/dt = R*I, or v without an equation             IF, I
    dv/dt = (I - v)/dt and no reset                   Threshold
    v > threshold, v = v_reset                        v_threshold, v_reset
    other constants in dv/dt; in dI/dt                v_leak; the bias of an Affine or Conv2d in front
    Synapses with on_pre="x_post += w"                Linear (out, in); Affine with a bias
    the same between two groups of given shapes       Conv2d, SumPool2d, AvgPool2d
    delays                                            Delay in front of the weights, a matrix for each delay
    Synapses of a group with itself                   a loop of edges
    SpikeGeneratorGroup, PoissonGroup, EventInput     Input
    any Synapses made from them (i, j, w, delay)      chains of Linear, Affine, Conv1d, Conv2d, SumPool2d, AvgPool2d,
                                                      Flatten, Scale, Delay, and graphs within the graph

NIR has no refractory time, adaptive threshold, soft reset, plasticity, noise or graded spike: `to_nir` refuses these
by name. A soft reset, and v >= threshold, it writes as metadata if asked to (`record`), for `from_nir` to heed.
Initial values are not in NIR; `from_nir` begins at rest.

NIR's time is continuous, that of libraries is not, and a file says little about what lies between:

- A spike is a current of 1 for one step. It moves v by r w dt/tau, so what a file means depends on dt. snnTorch writes
  r = tau/dt and tau = dt/(1 - beta) with dt = 0.1 ms, whatever the step was: read its files with dt=0.1*ms.
- snnTorch writes v_reset = 0 also of a neuron that subtracts its threshold, which is its default. The file cannot
  tell; you can: reset="subtract-late" is its default, "subtract" is reset_delay=False, "file" reset_mechanism="zero".
- Norse's to_nir multiplies every time constant by its dt of 0.001: export with dt=1.0, or read with the square of the
  step, dt=1*us. Of an LIFCell it writes w_in = 1, of an IAFCell r = 1, which is not what they compute: they add the
  weight whole. Set w_in to tau_syn/dt first, or read the IF with dt=1*second.
- Libraries compute v <- v + (dt/tau) (v_leak - v + r W x) and then spike, a spike passing through all layers in one
  step. Brian2's order is state, threshold, synapses, reset: what arrives in a step acts in the next. Layer n spikes n
  steps after theirs, and is otherwise the same, spike for spike; only a bias begins at once in all layers, in layer n
  n - 1 steps before the first input, which v forgets with tau.
- Where a synapse adds to v itself, what arrives leaks for a step before the threshold sees it, and is lost if the
  neuron resets in that step. Libraries that read such a network agree with it only as dt goes to 0. A network that
  they shall read spike for spike has dI/dt = -I/dt besides, or dI/dt = -I/tau_syn, method "euler", v_rest = v_reset = 0
  and for all neurons of a layer the same numbers.
- snnTorch supposes steps of 0.1 ms, and for a CubaLIF r = tau/dt; it reads no IF and (1.0.0) no loops. Norse takes r of
  an LIF and an IF for 1.

This file is a table of names.
"""

from snn.exchange.exporting import to_nir
from snn.exchange.importing import from_nir
from snn.exchange.nir_files import read_nir, write_nir

__all__ = ["from_nir", "read_nir", "to_nir", "write_nir"]
