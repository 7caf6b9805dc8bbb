"""snn.energy: what an inference costs, in counts that are exact and prices that have a source.

    responses = snn.run(network, recordings, input=eye, duration=300 * ms, record="all")
    counts = snn.energy.count(network, responses)
    print(snn.energy.account(counts, "loihi1", sensor=dvs.load_sensor("davis346")))

Counts and prices meet only in `account`; `place` says where neurons are, `anytime` what an early answer costs.

This file is a table of names; each is imported when it is first used.
"""

from typing import TYPE_CHECKING

from dvs.lazy import lazy_names

_HOMES = {
    "snn.energy.accounting": ("Account", "account"),
    "snn.energy.early_answers": ("AnytimeCurve", "anytime", "by_class"),
    "snn.energy.breakeven": ("BreakEven", "break_even_from", "break_even_of"),
    "snn.energy.counting": ("count",),
    "snn.energy.counts": ("Counts", "load"),
    "snn.energy.meter": ("Meter",),
    "snn.energy.picture": ("plot",),
    "snn.energy.placement": ("Placement", "place"),
    "snn.energy.prices": ("PriceList", "load_prices", "price_list_names"),
    "snn.energy.report": ("page",),
    "snn.energy.sensing": ("sensed", "sensor_of"),
    "snn.energy.structure": ("read_structure",),
    "snn.energy.terms": ("TERMS", "Widths"),
    "snn.energy.frame_network": ("FrameCounts", "conv_layer", "dense_layer", "twin"),
}

__all__, __getattr__, __dir__ = lazy_names(__name__, _HOMES)

if TYPE_CHECKING:
    from snn.energy.accounting import Account, account
    from snn.energy.breakeven import BreakEven, break_even_from, break_even_of
    from snn.energy.counting import count
    from snn.energy.counts import Counts, load
    from snn.energy.early_answers import AnytimeCurve, anytime, by_class
    from snn.energy.frame_network import FrameCounts, conv_layer, dense_layer, twin
    from snn.energy.meter import Meter
    from snn.energy.picture import plot
    from snn.energy.placement import Placement, place
    from snn.energy.prices import PriceList, load_prices, price_list_names
    from snn.energy.report import page
    from snn.energy.sensing import sensed, sensor_of
    from snn.energy.structure import read_structure
    from snn.energy.terms import TERMS, Widths
