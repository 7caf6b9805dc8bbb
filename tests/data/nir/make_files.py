"""Makes the NIR files of this folder and, beside each, what their own library computes from given spikes.

Made with Python 3.11.7, nir 1.0.8, nirtorch 2.6, snntorch 1.0.0, norse 1.1.0, torch 2.13.0 (CPU):

    python tests/data/nir/make_files.py

X.nir is the network. X.npz holds `input` (steps, neurons) and `output` (steps, neurons), both spikes, and further
outputs of the same file under names of their own; `dt`, in seconds, is the step that the file means.
"""

from collections.abc import Callable
from pathlib import Path

import nir
import norse.torch as norse
import numpy as np
import snntorch
import torch
from norse.torch.functional.iaf import IAFParameters
from norse.torch.functional.leaky_integrator_box import LIBoxParameters
from norse.torch.functional.lif import LIFParameters
from norse.torch.functional.lif_box import LIFBoxParameters
from norse.torch.utils.export_nir import to_nir
from norse.torch.utils.import_nir import from_nir
from snntorch import export_nir

FOLDER = Path(__file__).parent
STEPS = 80
SNNTORCH_DT_S, NORSE_DT_S = 1e-4, 1e-3


def spikes(shape: tuple[int, ...], share: float, seed: int) -> torch.Tensor:
    """Random spikes (STEPS, 1, *shape)."""
    return (torch.rand(STEPS, 1, *shape, generator=torch.Generator().manual_seed(seed)) < share).float()


def save(name: str, dt_s: float, graph: nir.NIRGraph, x: torch.Tensor, **outputs: torch.Tensor) -> None:
    """Write both files; every output must have spikes, and silence."""
    nir.write(FOLDER / f"{name}.nir", graph, compression=None)
    kept = {}
    for key, value in outputs.items():
        flat = value.detach().numpy().reshape(STEPS, -1)
        binary = bool(np.isin(flat, (0, 1)).all())
        print(f"{name:28} {key:16} {flat.shape} mean {flat.mean():.3f}")
        assert 0.02 < abs(flat.mean()) < 0.8, "too quiet, or too loud"
        kept[key] = flat.astype(bool) if binary else flat
    np.savez_compressed(FOLDER / f"{name}.npz", dt=dt_s, input=x.numpy().reshape(STEPS, -1).astype(bool), **kept)


def stepped(net: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Output of a new snnTorch network, whose neurons keep their state, step by step."""
    out = [net(step) for step in x]
    return torch.stack([step[0] if isinstance(step, tuple) else step for step in out])


def norse_stepped(net: Callable, x: torch.Tensor) -> torch.Tensor:
    """Output of a Norse network, step by step."""
    state, out = None, []
    for step in x:
        z, state = net(step, state)
        out.append(z)
    return torch.stack(out)


def leaky(shape: tuple[int, ...], beta: float, **options: object) -> snntorch.Leaky:
    """A Leaky whose parameters have the shape of its layer, without which it cannot be exported."""
    return snntorch.Leaky(beta=torch.full(shape, beta), threshold=torch.ones(shape), init_hidden=True, **options)


def linear(n_in: int, n_out: int, scale: float, *, bias: bool = True) -> torch.nn.Linear:
    """A layer with weights that make some spikes."""
    layer = torch.nn.Linear(n_in, n_out, bias=bias)
    torch.nn.init.normal_(layer.weight, 0.3 * scale, scale)
    if bias:
        torch.nn.init.uniform_(layer.bias, -0.1, 0.1)
    return layer


def snntorch_leaky() -> None:
    """Two layers of Leaky; the file is the same whatever the reset is."""
    torch.manual_seed(1)
    layers = linear(12, 10, 0.2), linear(10, 5, 0.3)
    x = spikes((12,), 0.15, 2)
    outputs, graphs = {}, []
    resets = {"output": {"reset_mechanism": "zero"}, "subtract": {}, "subtract_at_once": {"reset_delay": False}}
    for key, options in resets.items():
        net = torch.nn.Sequential(
            layers[0], leaky((10,), 0.9, **options), layers[1], leaky((5,), 0.8, output=True, **options)
        )
        outputs[key] = stepped(net, x)
        graphs.append(export_nir.export_to_nir(net, x[0], ignore_dims=[0]))
    assert all(
        np.array_equal(graphs[0].nodes[name].v_reset, graph.nodes[name].v_reset) for graph in graphs for name in "13"
    )
    save("snntorch_leaky", SNNTORCH_DT_S, graphs[0], x, **outputs)


def snntorch_synaptic() -> None:
    """Two layers of Synaptic, reset to zero at once, which is what CubaLIF says."""
    torch.manual_seed(3)

    def synaptic(n: int, **options: object) -> snntorch.Synaptic:
        return snntorch.Synaptic(
            alpha=torch.full((n,), 0.7), beta=torch.full((n,), 0.9), threshold=torch.ones(n), init_hidden=True,
            reset_mechanism="zero", reset_delay=False, **options,
        )  # fmt: skip

    net = torch.nn.Sequential(
        linear(12, 10, 0.12, bias=False), synaptic(10), linear(10, 5, 0.15, bias=False), synaptic(5, output=True)
    )
    x = spikes((12,), 0.15, 4)
    out = stepped(net, x)  # first, as exporting runs the network too
    save("snntorch_synaptic", SNNTORCH_DT_S, export_nir.export_to_nir(net, x[0], ignore_dims=[0]), x, output=out)


def snntorch_convolution() -> None:
    """Conv2d, Leaky, AvgPool2d, Flatten, Linear, Leaky."""
    torch.manual_seed(5)
    convolution = torch.nn.Conv2d(2, 3, 3, stride=2, padding=1)
    torch.nn.init.normal_(convolution.weight, 0.1, 0.4)
    net = torch.nn.Sequential(
        convolution, leaky((3, 4, 4), 0.9, reset_mechanism="zero"), torch.nn.AvgPool2d(2), torch.nn.Flatten(),
        linear(12, 4, 0.9), leaky((4,), 0.85, reset_mechanism="zero", output=True),
    )  # fmt: skip
    x = spikes((2, 8, 8), 0.15, 6)
    out = stepped(net, x)  # first, as exporting runs the network too
    save("snntorch_convolution", SNNTORCH_DT_S, export_nir.export_to_nir(net, x[0], ignore_dims=[0]), x, output=out)


def snntorch_recurrent() -> None:
    """RLeaky: every neuron to every neuron of its layer."""
    torch.manual_seed(7)
    recurrent = snntorch.RLeaky(
        beta=0.9, linear_features=8, init_hidden=True, reset_mechanism="zero", reset_delay=False, output=True
    )
    torch.nn.init.normal_(recurrent.recurrent.weight, 0, 0.3)
    net = torch.nn.Sequential(linear(12, 8, 0.3, bias=False), recurrent)
    x = spikes((12,), 0.15, 8)
    out = stepped(net, x)  # first, as exporting runs the network too
    save("snntorch_recurrent", SNNTORCH_DT_S, export_nir.export_to_nir(net, x[0], ignore_dims=[0]), x, output=out)


def norse_boxes() -> None:
    """LIFBoxCell, exported as by default: with dt = 0.001, by which every time constant is multiplied in the file."""
    torch.manual_seed(9)

    def box(n: int) -> norse.LIFBoxCell:
        one = torch.ones(n)
        return norse.LIFBoxCell(LIFBoxParameters(tau_mem_inv=100 * one, v_leak=0 * one, v_th=0.3 * one))

    net = norse.SequentialState(linear(12, 10, 1.0), box(10), linear(10, 5, 1.0), box(5))
    x = spikes((12,), 0.15, 10)
    out = norse_stepped(net, x)
    save("norse_lif_box", NORSE_DT_S**2, to_nir(net, x[0]), x, output=out)


def norse_others() -> None:
    """LIFCell (CubaLIF in NIR), IAFCell (IF) and LIBoxCell (LI), exported with dt = 1, which leaves times as they are.

    Also what Norse computes when it reads its own LIFCell back, which is not what it wrote.
    """
    torch.manual_seed(11)
    one = torch.ones(6)
    x = spikes((12,), 0.15, 12)
    cells = {
        "norse_lif": norse.LIFCell(
            LIFParameters(tau_mem_inv=100 * one, tau_syn_inv=200 * one, v_leak=0 * one, v_th=0.15 * one)
        ),
        "norse_iaf": norse.IAFCell(IAFParameters(v_th=2.0 * one)),
        "norse_li_box": norse.LIBoxCell(LIBoxParameters(tau_mem_inv=100 * one, v_leak=0.2 * one)),
    }
    for name, cell in cells.items():
        net = norse.SequentialState(linear(12, 6, 0.6), cell)
        graph = to_nir(net, x[0], dt=1.0)
        outputs = {"output": norse_stepped(net, x)}
        if name == "norse_lif":
            outputs["read_back"] = norse_stepped(from_nir(graph, dt=NORSE_DT_S), x)
        save(name, NORSE_DT_S, graph, x, **outputs)


if __name__ == "__main__":
    with torch.no_grad():
        snntorch_leaky()
        snntorch_synaptic()
        snntorch_convolution()
        snntorch_recurrent()
        norse_boxes()
        norse_others()
