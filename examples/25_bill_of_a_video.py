"""The bill of a real video, end to end: camera, bus, network and host, for each answer to "which way does it move?".

`convert-video` makes the events of a DAVIS346 that looks at a cup moved by a hand. Every 200 ms two populations of
direction-selective cells (Barlow & Levick 1965, "The mechanism of directionally selective units in rabbit's retina",
J. Physiol. 178:477) tell an answering neuron each, and the one with more spikes wins; the optical flow between the
frames says which was right. Counts are exact; prices are those of Loihi 1 (Davies et al. 2018), whose chips, host and
camera draw power whether or not anything moves.

    python examples/25_bill_of_a_video.py [--seconds 2.6] [--prices loihi1] [--output bill]

writes bill/events.h5, bill/counts.json, bill/account.html and bill/account.png; then, for other prices,

    snn-energy bill/counts.json --prices generic-45nm-int8 --sensor davis346
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from brian2 import BrianObject, Network, ms, prefs, second
from numpy.typing import NDArray

import dvs
import snn
from snn.energy import account, count, load_prices, page, place, read_structure, sensed, sensor_of
from snn.neurons import integrate_and_fire, lif
from snn.synapses import Wiring, connect, one_to_one

CUP = Path(__file__).parent / "data" / "cup.mp4"
LOOK = 200 * ms  # for one answer


def detectors(eye: snn.EventInput, name: str, veto_from: int) -> list[BrianObject]:
    """Cells that an event excites, unless the neighbour `veto_from` (1 right, -1 left) had some before."""
    cells = lif(tau=100 * ms).group(len(eye.group), name=name, clock=eye.group.clock)
    number = np.arange(len(cells)).reshape(eye.shape)
    pre, post = (number[:, :, 1:], number[:, :, :-1])[::veto_from]
    veto = Wiring(
        pre=pre.ravel(), post=post.ravel(), weights=np.full(pre.size, -1.0), in_shape=eye.shape, out_shape=eye.shape
    )
    return [
        cells,
        connect(eye.group, cells, one_to_one(len(cells), 1.2), name=f"{name}_excitation"),
        connect(eye.group, cells, veto, name=f"{name}_veto"),
    ]


def watching(eye: snn.EventInput) -> Network:
    """Detectors of both directions, and an answering neuron for each that spikes with every 250th of theirs."""
    network = Network(eye.group, detectors(eye, "left", -1), detectors(eye, "right", 1))
    answer = integrate_and_fire(threshold=250.0).group(2, name="answer", clock=eye.group.clock)
    network.add(answer)
    cells = np.arange(len(eye.group))
    for k, name in enumerate(("left", "right")):
        told = Wiring(
            pre=cells, post=np.full_like(cells, k), weights=np.ones(cells.size), in_shape=cells.shape, out_shape=(2,)
        )
        network.add(connect(network[name], answer, told, name=f"{name}_tells"))
    return network


def true_directions(looks: int) -> NDArray[np.int64]:
    """0 left, 1 right, in each look: the sign of the flow between the video's frames where anything moves."""
    video = dvs.open_video(CUP, stop_s=looks * float(LOOK / second))
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    before, moved = None, np.zeros(looks)
    for t_us, frame in video:
        if before is not None:
            shift = flow.calc(before, frame, None)[..., 0]
            look = int(t_us / 1000 // (LOOK / ms))
            moved[look] += shift[np.abs(shift) > 0.5].sum()
        before = frame
    return (moved > 0).astype(np.int64)


def main() -> None:
    """Convert, watch, answer, count, price."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.6, help="how much of the video")
    parser.add_argument("--prices", default="loihi1", help="a list that snn-energy --list shows, or a .toml file")
    parser.add_argument("--output", type=Path, default=Path("bill"), help="folder of what is written")
    options = parser.parse_args()
    prefs.codegen.target = "numpy"  # for so short a run, compiling takes longer
    options.output.mkdir(parents=True, exist_ok=True)

    events = options.output / "events.h5"
    camera = dvs.load_sensor("davis346")
    dvs.convert(
        dvs.Conversion(
            source=str(CUP),
            outputs=(dvs.Output(path=events),),
            sensor=camera,
            stop_s=options.seconds,
            interpolation="flow",
            overwrite=True,
        )
    )
    recording = dvs.read(events)
    look_us = int(LOOK / ms) * 1000
    starts = recording.start_us + look_us * np.arange(int(options.seconds * 1e6 / look_us))
    looks = [recording.between(start, start + look_us) for start in starts]

    eye = snn.EventInput(width=346, height=260, dt=1 * ms, pool=4, collisions="first")
    network = watching(eye)
    responses = snn.run(network, looks, input=eye, duration=LOOK, record="all")
    answers = responses.counts("answer").argmax(axis=1)
    truth = true_directions(len(looks))
    print("answers:", " ".join(("left", "right")[k] for k in answers))
    print(f"{(answers == truth).sum()} of {truth.size} as the optical flow has it")

    prices = load_prices(options.prices)
    structure = read_structure(network, {})
    placement = None if prices.cores is None else place(structure, prices.cores)
    counts = count(structure, responses, placement=placement, sensor=sensed(looks), name="a cup's direction")
    counts.save(options.output / "counts.json", overwrite=True)
    bill = account(counts, prices, sensor=sensor_of(events), chips=1 if placement is None else placement.chips)
    print(bill)
    (options.output / "account.html").write_text(page(bill), encoding="utf-8")
    bill.plot().figure.savefig(options.output / "account.png", dpi=100)
    print(f"see {options.output}")


if __name__ == "__main__":
    main()
