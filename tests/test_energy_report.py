"""The report of an account: whoever reads it can compute every joule again, and sees what is missing."""

import json
import math
import re
from collections import Counter
from dataclasses import dataclass, replace
from html import unescape
from itertools import pairwise

import pytest
from brian2 import ms
from matplotlib.colors import to_hex

from dvs.errors import ParameterError
from dvs.sensors import Sensor
from snn.energy.accounting import account
from snn.energy.breakeven import BreakEven
from snn.energy.counts import Charge
from snn.energy.picture import COLOURS, plot, segments
from snn.energy.prefixes import with_prefix
from snn.energy.prices import Memory, Power, Price, PriceList
from snn.energy.report import WIDTH, html, page, text
from snn.energy.terms import TERMS


@dataclass
class Made:
    """Counts as they come from a run, with charges made up."""

    charged: tuple[Charge, ...]
    name: str = "net"
    samples: int = 3
    duration_s: float = 0.02
    sensor: object = None

    def charges(self, widths):
        return self.charged


def charge(term, where, total, memory_bits=None):
    return Charge(term=term, where=where, total=total, memory_bits=memory_bits)


def price(term, pj, low=None, high=None, evidence="simulated", source="a paper", **more):
    low, high = pj if low is None else low, pj if high is None else high
    bounds = {"low": low / 1e12, "high": high / 1e12, "range": "its corners" if low < high else ""}
    return Price(term=term, joules=pj / 1e12, shown_unit="pJ", evidence=evidence, source=source, **bounds, **more)


def power(name, mw, low, high, part="chip", **more):
    bounds = {"low": low / 1e3, "high": high / 1e3, "range": "two boards"}
    return Power(
        name=name, watts=mw / 1e3, part=part, shown_unit="mW", evidence="metered", source="a meter", **bounds, **more
    )


SMALL = Memory(
    name="8 KiB", kib=8, joules=0.15625e-12, low=0.1e-12, high=0.2e-12, shown_unit="pJ/bit", evidence="derived",
    source="a slide", range="other slides",
)  # fmt: skip
LARGE = Memory(
    name="DRAM", kib=math.inf, joules=20.3125e-12, low=20.3125e-12, high=40.625e-12, shown_unit="pJ/bit",
    evidence="estimated", source="a guess", range="the same paper",
)  # fmt: skip

PRICES = PriceList(
    name="toy",
    title="a toy chip",
    technology="65 nm",
    prices={
        "synaptic_operations": price("synaptic_operations", 23.6, 11.7, 35.5, covers=("additions",)),
        "neuron_updates_driven": price("neuron_updates_driven", 81.0),
        "packets": price("packets", 1.7, source="another paper"),
    },
    powers={
        "logic": power("logic", 29.54, 20, 104.375),
        "host": power("host", 76, 65, 76.0, part="host", per="system"),
    },
    memories=(SMALL, LARGE),
    excludes=("The board around the chip.",),
)

# Totals that three samples do not divide evenly.
COUNTS = Made(
    charged=(
        charge("synaptic_operations", "input_to_hidden", 5_437_656),
        charge("synaptic_operations", "hidden_to_output_with_a_rather_long_name", 13_471),
        charge("neuron_updates_driven", "hidden", 1_346_821),
        charge("weight_read_bits", "input_to_hidden", 43_501_249, 8 * 8192),
        charge("weight_read_bits", "hidden_to_output_with_a_rather_long_name", 107_767, 8 * 8192 + 1),
        charge("packets", "hidden", 1),
        charge("additions", "hidden", 77),
        charge("functions", "hidden", 1_000),
        charge("functions", "output", 2),
        charge("time_steps", "network", 60),
    )
)
ONLY_NETWORK = {"boundary": ("network", "static")}


def made(**changes):
    return account(COUNTS, PRICES, **{"time": 3.373 * ms, "chips": 2} | changes)


def number(said):
    """12.3 µJ as 1.23e-5."""
    digits, unit = said.split()
    scale = {"": 1, "m": 1e-3, "µ": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15}[re.sub("(J s|J/bit|J|W|s)$", "", unit)]
    return float(digits.replace(",", "")) * scale


def half_a_digit(value, digits):
    """Half of the last of so many digits."""
    return 0.5 * 10.0 ** (math.floor(math.log10(value)) + 1 - digits) if value else 0.0


ROW = re.compile(
    r"^.{26}\s*(?P<count>[\d,.]+(?: [mµn]?s)?) x (?P<price>[\d,.]+ \S+)\s+= +(?P<joules>[\d,.]+ \S+) +"
    r"(?P<bounds>-|[\d,.]+ to [\d,.]+ \S+) +(?P<share>(?:< )?[\d.]+ %)$"
)
BOUNDS = re.compile(r"(?P<low>[\d,.]+) to (?P<high>[\d,.]+) (?P<unit>\S+)")


def rows(said):
    """Of the table: count, price, joules and share, and the bounds of price and joules, all as printed."""
    price_bounds = None
    for line in said[said.index("Count x price") : said.index("Sums")].splitlines():
        found = ROW.match(line)
        if found:
            yield {**found.groupdict(), "price_bounds": price_bounds}
        elif ": ■" in line:
            price_bounds = BOUNDS.search(line)


def test_every_joule_of_the_text_can_be_computed_from_the_text():
    """Each row: count x price is the energy to the half of its fourth digit, and so are the bounds. The rows together
    are the total, to what rounding leaves of each.
    """
    said = str(made())
    table = list(rows(said))
    assert len(table) == len(made().lines) == 8
    sum_j = slack_j = 0.0
    for row in table:
        count = number(row["count"]) if row["count"].endswith("s") else float(row["count"].replace(",", ""))
        joules = number(row["joules"])
        assert count * number(row["price"]) == pytest.approx(joules, abs=1.001 * half_a_digit(joules, 4))
        if row["bounds"] != "-":
            priced, paid = row["price_bounds"], BOUNDS.match(row["bounds"])
            for bound in ("low", "high"):
                expected = count * number(f"{priced[bound]} {priced['unit']}")
                printed = number(f"{paid[bound]} {paid['unit']}")
                assert expected == pytest.approx(printed, abs=1.001 * half_a_digit(printed, 4))
        sum_j, slack_j = sum_j + joules, slack_j + half_a_digit(joules, 4)
    (total,) = re.findall(r"^  total +≥ ([\d.]+ \S+)", said, flags=re.MULTILINE)
    assert sum_j == pytest.approx(number(total), abs=slack_j + half_a_digit(number(total), 4))
    for row in table:
        share = float(re.search(r"[\d.]+", row["share"])[0])
        assert (row["share"][0] == "<") == (number(row["joules"]) / sum_j < 0.0005)
        assert 100 * number(row["joules"]) / sum_j == pytest.approx(share, abs=0.1)


def test_every_joule_of_the_json_can_be_computed_from_the_json():
    """total / inferences x price = joules, and the lines of each part and kind add up to its sum."""
    record = json.loads(json.dumps(made().to_dict(), allow_nan=False))
    sums = Counter()
    for line in record["lines"]:
        once = line["total"] / record["inferences"]
        assert line["joules"] == pytest.approx(once * line["price"]["value"], rel=1e-12)
        assert line["low"] == pytest.approx(once * line["price"]["low"], rel=1e-12)
        assert line["high"] == pytest.approx(once * line["price"]["high"], rel=1e-12)
        name = line["kind"] if line["part"] == "network" else line["part"]
        sums[name] += line["joules"]
        sums["total"] += line["joules"]
    for name in ("dynamic", "static", "host", "total"):
        assert record[name]["joules"] == pytest.approx(sums[name], rel=1e-12)
    assert record["energy_delay_js"] == pytest.approx(sums["total"] * record["time_s"])


def test_the_html_has_the_numbers_of_the_text():
    """Each count, price and energy of a row stands in a cell of its own."""
    cells = [unescape(cell) for cell in re.findall(r"<td[^>]*>([^<]*)", html(made()))]
    for row in rows(str(made())):
        assert {row["count"], row["price"], row["joules"], row["bounds"], row["share"]} <= {*cells}


def test_the_sums_of_the_text_are_those_of_its_rows():
    """Two chips of 29.54 mW and a host of 76 mW for 3.373 ms: 199.3 µJ and 256.3 µJ."""
    said = str(made())
    assert re.search(r"network, static +199\.3 µJ", said)
    assert re.search(r"host +≥ 256\.3 µJ|host +256\.3 µJ", said)
    assert re.search(r"logic +6\.746 ms x 29\.54 mW +=  199\.3 µJ", said)


def test_what_has_no_price_is_named_with_its_counts():
    """1002 functions in three inferences are 334 each."""
    for said in (str(made()), html(made())):
        assert "not in it" in said
        assert "functions, time steps" in said
        assert "Without a price" in said
        assert "334 an inference, in hidden, output" in said
        assert "20 an inference, in network" in said
        assert "≥ " in said


def test_a_power_that_nobody_published_is_named_too():
    silent = account(COUNTS, PriceList(name="none", prices=PRICES.prices), boundary=("network", "static"))
    assert re.search(r"static power of the chip +not known", str(silent))
    assert "static power of the chip" in html(silent)


def test_bounds_have_as_many_digits_as_the_energy():
    """10 mJ of the sensor and 21.26 to 64.51 µJ at synapses are not "10 to 10.1 mJ"."""
    camera = Sensor(name="camera", static_mw=500.0)
    said = str(account(Made(charged=COUNTS.charged[:2]), PRICES, sensor=camera, boundary=("network", "sensor")))
    assert re.search(r"total +10\.04 mJ +10\.02 to 10\.06 mJ", said)


def test_a_total_without_gaps_has_no_sign():
    """All that was counted has a price, or is in one."""
    whole = account(Made(charged=COUNTS.charged[:-3]), PRICES, **ONLY_NETWORK)
    for said in (text(whole), html(whole)):
        assert "≥" not in said
        assert "ithout a price" not in said


def test_the_boundary_says_what_is_in_what_is_not_and_what_is_contained():
    said = str(account(COUNTS, PRICES, **ONLY_NETWORK))
    boundary = " ".join(said[said.index("Boundary") : said.index("Count x price")].split())
    assert "+ Network: synaptic operations" in boundary
    assert "+ In the price of synaptic operations: additions." in boundary
    assert "- Left out on request: the host." in boundary
    assert "- The board around the chip." in boundary


def test_synaptic_operations_alone_are_labelled_as_no_energy_of_the_system():
    """(5437656 + 13471) / 3 x 23.6 pJ = 42.88 µJ."""
    for said in (str(made()), html(made())):
        assert "For comparison with papers, not an energy of the system" in said
        assert "Synaptic operations only: 42.88 µJ" in said


def test_the_break_even_can_be_computed_from_the_report():
    """(0.23 + 3.75 / 2 - 10 x 10.3 / 100) / (0.05 + 7.5) = 1.075 / 7.55 = 0.1424 spikes a synapse."""
    twin = BreakEven(
        spikes_per_synapse=0.1, addition_pj=0.05, mac_pj=0.23, spike_memory_pj=7.5, twin_memory_pj=3.75, reuse=2,
        steps=10, update_pj=10.3, fan_in=100,
    )  # fmt: skip
    said = " ".join(str(replace(made(), break_even=twin)).split())
    assert twin.verdict in said
    assert "(0.23 + 3.75 / 2 - 10 x 10.3 / 100) pJ / (0.05 + 7.5) pJ = 0.1424 spikes a synapse" in said
    assert "Against the same network without spikes" not in str(made(twin=None))
    never = " ".join(str(replace(made(), break_even=replace(twin, fan_in=10))).split())  # (2.105 - 10.3) / 7.55
    assert "= -1.085 spikes a synapse and inference, fewer than none" in never


def test_evidence_is_graded_and_the_weakest_is_named():
    """A meter is five squares, a guess one; the guess is the large memory, (107767 / 3) x 20.3125 pJ = 729.7 nJ."""
    said = str(made())
    evidence = said[said.index("Evidence") :]
    assert re.search(r"■■■■■ metered +455\.6 µJ", evidence)  # 199.3 + 256.3
    assert re.search(r"■□□□□ estimated +729\.7 nJ", evidence)
    assert "The weakest evidence is estimated: weight read bits in DRAM." in evidence


def test_sources_are_numbered_once_in_the_order_of_their_first_use():
    said = str(made())
    listed = re.findall(r"^  \[(\d+)\] (.*)$", said[said.index("\nSources") :], flags=re.MULTILINE)
    assert [int(note) for note, _ in listed] == list(range(1, len(listed) + 1))
    assert listed[0][1] == "a paper"
    assert listed[1][1] == "Low and high: its corners"
    assert len({note for _, note in listed}) == len(listed)
    used = re.findall(r"\[(\d+)\]", said[: said.index("\nSources")])
    assert list(dict.fromkeys(used)) == [note for note, _ in listed]


def test_the_text_is_as_wide_as_a_terminal():
    """Also with names and sentences that are longer than a column."""
    assert max(map(len, str(made(sensor=Sensor(name="camera", static_mw=10.0))).splitlines())) <= WIDTH == 100


def test_it_says_how_many_inferences_and_whose_prices():
    assert "Prices: toy, 65 nm. Counted over 3 inferences." in str(made())


def test_nothing_counted_is_a_report_too():
    """No line, no joule, and no picture of it; still a boundary."""
    empty = account(Made(charged=()), PriceList(name="none"), boundary=("network",))
    assert "nothing was counted that has a price" in str(empty)
    assert "nothing was counted that has a price" in html(empty)
    assert "0 J" in str(empty)
    assert segments(empty) == ()


def test_an_account_shows_itself():
    """To print, to a notebook, and as a picture."""
    one = made()
    assert str(one) == text(one)
    assert one._repr_html_() == html(one)
    assert bars(one.plot()) == bars(plot(one))


def test_names_cannot_break_the_page():
    odd = account(Made(charged=(charge("packets", "<b>&", 3),), name="<script>"), PRICES, **ONLY_NETWORK)
    for said in (html(odd), page(odd)):
        assert "<script>" not in said
        assert "&lt;b&gt;&amp;" in said


def test_the_page_needs_nothing_but_itself():
    """One document: no script, no address of anything else."""
    said = page(made())
    assert said.startswith("<!DOCTYPE html>")
    assert "<script" not in said
    assert not re.search(r"(src|href)=|@import|url\(", said)


def test_the_style_touches_nothing_else_on_the_page():
    """Every rule of the piece begins at its own class."""
    style = re.search(r"<style>(.*?)</style>", html(made()), flags=re.DOTALL)[1]
    for rule in style.split("}")[:-1]:
        selector = rule.split("{")[0].strip()
        assert selector.startswith(".snn-energy"), selector
        assert not re.search(r",(?![^(]*\))", selector), selector


@pytest.mark.parametrize(
    ("value", "unit", "digits", "said"),
    [
        (2.721e-4, "J", 3, "272 µJ"), (23.6e-12, "J", 3, "23.6 pJ"), (1e-6, "J", 3, "1 µJ"), (1.5, "J", 3, "1.5 J"),
        (999.6e-9, "J", 3, "1 µJ"), (0.0, "J", 3, "0 J"), (104.375e-3, "W", 6, "104.375 mW"),
        (2.6e-18, "J", 3, "0.0026 fJ"),
    ],
)  # fmt: skip
def test_numbers_have_the_prefix_that_suits(value, unit, digits, said):
    """From one to just below a thousand, after rounding; below a femtojoule there is no smaller prefix."""
    assert with_prefix(value, unit, digits) == said


# The picture


def bars(ax):
    """(left, width, row) of the bars that have a colour, in the units of the axis."""
    return [
        (bar.get_x(), bar.get_width(), bar.get_y() + bar.get_height() / 2, to_hex(bar.get_facecolor()))
        for bar in ax.patches
        if bar.get_facecolor()[3] > 0
    ]


def test_the_bar_is_the_total_in_pieces_end_to_end():
    """Each begins where the one before ends; the last one ends at the total."""
    one = made()
    ax = plot(one)
    drawn = bars(ax)
    assert drawn[0][0] == 0
    for (left, width, *_), (following, *_) in pairwise(drawn):
        assert left + width == pytest.approx(following)
    assert "(mJ)" in ax.get_xlabel()
    assert (drawn[-1][0] + drawn[-1][1]) * 1e-3 == pytest.approx(one.total.joules)
    assert [colour for *_, colour in drawn] == [segment.colour for segment in segments(one)]


def test_the_pieces_are_the_sums_of_the_account():
    kinds = {segment.kind: segment.joules for segment in segments(made())}
    assert kinds["static power"] == pytest.approx(made().static.joules)
    assert kinds["host"] == pytest.approx(made().host.joules)
    assert kinds["synapses"] == pytest.approx(made().synops_only.joules)
    assert sum(kinds.values()) == pytest.approx(made().total.joules)


def test_every_term_has_a_colour():
    """Whatever a user puts a price on can be drawn, and no two kinds look the same."""
    everything = PriceList(name="all", prices={term: price(term, 1.0) for term in TERMS})
    one = account(Made(charged=tuple(charge(term, "here", 1) for term in TERMS)), everything, boundary=BOTH)
    assert sum(segment.joules for segment in segments(one)) == pytest.approx(one.total.joules)
    assert len(one.lines) == len(TERMS)
    assert len({*COLOURS.values()}) == len(COLOURS)


BOTH = ("sensor", "network", "host")


def test_accounts_are_compared_on_one_scale():
    """Twice the chips are twice the static power, drawn twice as long."""
    ax = plot([made(boundary=("static",), chips=1, title="one"), made(boundary=("static",), title="two")])
    (_, one, row_of_one, _), (_, two, row_of_two, _) = bars(ax)
    assert two == pytest.approx(2 * one)
    assert ax.transData.transform((0, row_of_one))[1] > ax.transData.transform((0, row_of_two))[1]
    assert {"one", "two"} <= {each.get_text() for each in ax.texts}


def test_a_hatched_end_and_a_sign_say_that_something_is_missing():
    def signs(ax):
        return any(bar.get_hatch() for bar in ax.patches), any("≥" in each.get_text() for each in ax.texts)

    assert signs(plot(made())) == (True, True)
    assert signs(plot(made(boundary=("static",)))) == (False, False)


def test_the_whisker_goes_from_low_to_high():
    """Of static power alone: 2 x 3.373 ms x 20 to 104.375 mW."""
    ax = plot(made(boundary=("static",)))
    (whisker,) = [line for line in ax.lines if line.get_marker() == "|"]
    assert list(whisker.get_xdata()) == pytest.approx([134.92, 704.11], abs=0.01)


def test_a_picture_of_nothing_is_refused():
    with pytest.raises(ParameterError, match="no account to draw"):
        plot([])
