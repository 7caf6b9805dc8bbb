"""Price lists: every number has a source and bounds, and nothing can be paid twice."""

import math

import pytest

from dvs.errors import ParameterError
from snn.energy.prices import (
    EVIDENCE,
    Memory,
    Power,
    Price,
    PriceList,
    ScopeError,
    describe,
    load_prices,
    price_list_names,
)
from snn.energy.terms import MEMORY, TERMS, Widths

LISTS = (
    "cpu", "generic-45nm-fp32", "generic-45nm-int8", "gpu-k4000", "jetson-tx1", "loihi1", "movidius",
    "odin", "sne", "speck", "spinnaker1", "truenorth", "xylo",
)  # fmt: skip

ENTRY = 'value = 2\nunit = "pJ"\nevidence = "estimated"\nsource = "a guess"\n'
CORES = 'per_tile = 4\ntiles_per_row = 8\nper_chip = 128\nevidence = "measured"\nsource = "a paper"\n'


def numbers_of(prices):
    return [*prices.prices.values(), *prices.powers.values(), *prices.memories, *prices.times.values()]


def toml(tmp_path, text, name="mine.toml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def price(term, *, pj=1.0, covers=()):
    return Price(
        term=term, joules=pj / 1e12, low=pj / 1e12, high=pj / 1e12, shown_unit="pJ", evidence="estimated",
        source="a guess", covers=covers,
    )  # fmt: skip


def power(name="chip", *, part="chip", mw=1.0):
    return Power(
        name=name, part=part, watts=mw / 1e3, low=mw / 1e3, high=mw / 1e3, shown_unit="mW", evidence="estimated",
        source="a guess",
    )  # fmt: skip


def priced(name, *prices, powers=()):
    return PriceList(
        name=name,
        prices={each.term: each for each in prices},
        powers={each.name: each for each in powers},
    )


def test_the_lists_are_the_promised_ones():
    assert price_list_names() == LISTS


@pytest.mark.parametrize("name", LISTS)
def test_every_shipped_number_has_a_source_a_grade_and_bounds_around_it(name):
    """Who and when: a source names a year or, for what has none, the document. A range says where it comes from."""
    prices = load_prices(name)
    assert numbers_of(prices)
    for entry in numbers_of(prices):
        assert 0 <= entry.low <= entry.value <= entry.high < math.inf
        assert entry.value > 0
        assert entry.evidence in EVIDENCE
        assert any(char.isdigit() for char in entry.source), entry.source
        assert bool(entry.range) == (entry.low < entry.high)


@pytest.mark.parametrize("name", LISTS)
def test_every_shipped_list_says_what_it_is_and_what_it_leaves_out(name):
    prices = load_prices(name)
    assert prices.title
    assert prices.excludes
    assert prices.name == name


@pytest.mark.parametrize("name", LISTS)
def test_cores_have_a_source_and_fill_their_chip(name):
    """Tiles lie in full rows: cores of a chip are tiles times the cores of one."""
    cores = load_prices(name).cores
    if cores is not None:
        assert cores.source
        assert cores.evidence in EVIDENCE
        assert cores.per_chip % (cores.per_tile * cores.tiles_per_row) == 0


def test_a_decimal_number_is_read_as_the_double_nearest_to_it():
    """23.6 pJ is 23.6e-12 J to the last bit, as a reader writes it."""
    loihi = load_prices("loihi1")
    assert loihi.prices["synaptic_operations"].joules == 23.6e-12
    assert loihi.powers["chip"].watts == 29.54e-3
    assert loihi.times["barrier"].seconds == 465e-9


def test_a_multiply_accumulate_is_a_multiplication_and_an_addition():
    """Horowitz 2014: 3.7 + 0.9 = 4.6 pJ in fp32, 0.2 + 0.03 = 0.23 pJ in int8."""
    fp32, int8 = load_prices("generic-45nm-fp32").prices, load_prices("generic-45nm-int8").prices
    assert fp32["macs"].joules == pytest.approx(fp32["multiplications"].joules + fp32["additions"].joules)
    assert int8["macs"].joules == pytest.approx(int8["multiplications"].joules + int8["additions"].low)


@pytest.mark.parametrize("name", ["generic-45nm-fp32", "generic-45nm-int8"])
def test_a_bit_costs_a_64th_of_an_access_of_64_bits(name):
    """10, 20 and 100 pJ an access for 8 KiB, 32 KiB and 1 MiB; 1.3 to 2.6 nJ for DRAM."""
    memories = load_prices(name).memories
    assert [memory.kib for memory in memories] == [8, 32, 1024, math.inf]
    assert [64 * memory.joules * 1e12 for memory in memories] == pytest.approx([10, 20, 100, 1300])
    assert 64 * memories[-1].high * 1e12 == pytest.approx(2600)


def test_the_memory_is_the_smallest_that_holds_the_bits():
    """8 KiB are 65536 bits: they fit, one bit more does not."""
    prices = load_prices("generic-45nm-int8")
    assert prices.memory_for(0).kib == 8
    assert prices.memory_for(8 * 8192).kib == 8
    assert prices.memory_for(8 * 8192 + 1).kib == 32
    assert prices.memory_for(10**12).name == "DRAM"


def test_a_list_without_a_memory_that_large_says_so():
    small = Memory(
        name="registers", kib=1, joules=1e-15, low=1e-15, high=1e-15, shown_unit="fJ/bit", evidence="estimated",
        source="a guess",
    )  # fmt: skip
    with pytest.raises(ParameterError, match=r"toy has no memory of 2 KiB; add a \[\[memory\]\]"):
        PriceList(name="toy", memories=(small,)).memory_for(2 * 8192)


def test_truenorths_price_is_the_power_of_the_chip_over_its_synaptic_events():
    """72 mW / (2^20 neurons x 20 Hz x 128 synapses) = 26.8 pJ, the upper bound; 26 pJ was printed."""
    synapse = load_prices("truenorth").prices["synaptic_operations"]
    assert synapse.high == pytest.approx(72e-3 / (2**20 * 20 * 128), rel=2e-3)


def test_snes_price_is_its_power_at_its_highest_rate():
    """4.54 TSOP/s/W is 1 / 4.54e12 J, and at 51.2 GSOP/s 11.28 mW; the abstract says 0.221 pJ."""
    synapse = load_prices("sne").prices["synaptic_operations"]
    assert synapse.low <= 1 / 4.54e12 * 1.002
    assert 51.2e9 * synapse.joules == pytest.approx(51.2e9 / 4.54e12, rel=5e-3)


def test_specks_rails_are_its_published_powers():
    """RAM + logic are the processor, published as 0.42 mW; both pixel rails are the sensor, 0.690 mW."""
    powers = load_prices("speck").powers
    assert round(1e3 * (powers["ram"].watts + powers["logic"].watts), 2) == 0.42
    assert round(1e3 * (powers["pixel_digital"].watts + powers["pixel_analog"].watts), 3) == 0.690
    assert {name for name, each in powers.items() if each.part == "sensor"} == {"pixel_digital", "pixel_analog"}


def test_xylo_and_speck_have_powers_and_no_price():
    for name in ("xylo", "speck"):
        assert load_prices(name).powers
        assert not load_prices(name).prices


@pytest.mark.parametrize(
    ("name", "running_w", "idle_w", "rate_hz", "said_mj"),
    [
        ("gpu-k4000", 37.83, 14.97, 770, 29.8),
        ("cpu", 28.48, 17.01, 1814, 6.3),
        ("jetson-tx1", 4.98, 2.64, 419, 5.6),
        ("movidius", 0.647, 0.210, 300, 1.5),
    ],
)
def test_a_devices_mac_is_its_dynamic_energy_over_the_macs(name, running_w, idle_w, rate_hz, said_mj):
    """390 x 256 + 256 x 256 + 256 x 29 = 172800 synapses; both ways to say the energy are the bounds."""
    macs = 390 * 256 + 256 * 256 + 256 * 29
    prices = load_prices(name)
    bounds = sorted([said_mj * 1e-3 / macs, (running_w - idle_w) / rate_hz / macs])
    mac = prices.prices["macs"]
    assert [mac.low, mac.high] == pytest.approx(bounds, rel=1e-3)
    assert mac.joules == pytest.approx(said_mj * 1e-3 / macs, rel=1e-3)
    assert prices.powers["chip"].watts == idle_w


# Nothing is paid twice


def test_an_all_in_price_refuses_the_static_power_of_another_list():
    """TrueNorth's 26 pJ are the power of the whole chip, at rest too."""
    static = priced("static", powers=[power()])
    for either in (lambda: load_prices("truenorth") | static, lambda: static | load_prices("truenorth")):
        with pytest.raises(ScopeError, match=r"synaptic_operations includes power:chip, and power\.chip has a price"):
            either()


def test_an_all_in_price_refuses_one_of_its_parts():
    """And so for a hop, which TrueNorth's price includes at 2.3 pJ."""
    hops = priced("hops", price("hops_east_west", pj=2.3))
    for either in (lambda: load_prices("truenorth") | hops, lambda: hops | load_prices("truenorth")):
        with pytest.raises(ScopeError, match="synaptic_operations includes hops_east_west"):
            either()


def test_arithmetic_and_operations_cannot_both_be_paid():
    """The generic lists price an operation by its additions, the chips price it as one."""
    with pytest.raises(ScopeError, match="additions includes synaptic_operations"):
        load_prices("generic-45nm-int8") | priced("mine", price("synaptic_operations"))
    with pytest.raises(ScopeError, match="includes additions"):
        load_prices("loihi1") | priced("mine", price("additions"))


def test_memory_is_refused_by_a_price_that_includes_it():
    """[[memory]] prices all terms of memory; Loihi's operation has read its weight."""
    with pytest.raises(ScopeError, match="includes weight_read_bits"):
        load_prices("loihi1") | PriceList(name="mine", memories=load_prices("generic-45nm-int8").memories)


def test_a_measured_total_refuses_any_part():
    """A power may include terms: what a chip drew while it ran includes what it did."""
    running = Power(
        name="running", watts=0.1788, low=0.1788, high=0.1788, shown_unit="mW", evidence="metered", source="a meter",
        covers=("synaptic_operations",),
    )  # fmt: skip
    with pytest.raises(ScopeError, match=r"power\.running includes synaptic_operations"):
        load_prices("spinnaker1") | PriceList(name="meter", powers={"running": running})


def test_a_scope_error_is_a_parameter_error_of_one_line():
    with pytest.raises(ParameterError) as caught:
        load_prices("truenorth") | priced("static", powers=[power()])
    assert "\n" not in str(caught.value)
    assert "paid twice" in str(caught.value)


def test_two_prices_may_include_the_same_thing():
    """Additions and multiplications are both part of an update; neither charges the other."""
    both = priced("toy", price("additions", covers=("spikes",)), price("multiplications", covers=("spikes",)))
    assert both.covered_by("spikes") == ("additions", "multiplications")


# Lists on lists


def test_the_upper_list_wins_and_the_rest_stays():
    mine = priced("mine", price("plasticity_events", pj=7), powers=[power("board", part="host", mw=5)])
    both = load_prices("loihi1") | mine
    assert both.prices["plasticity_events"].joules == pytest.approx(7e-12)
    assert both.prices["packets"] == load_prices("loihi1").prices["packets"]
    assert set(both.powers) == {"chip", "host", "board"}
    assert both.excludes == load_prices("loihi1").excludes
    assert both.name == "loihi1 + mine"
    assert both == load_prices("loihi1").with_(mine)


def test_widths_and_cores_come_from_the_list_that_has_them():
    sne, plain = load_prices("sne"), priced("mine", price("hops_east_west"))
    assert (sne | plain).widths == (plain | sne).widths == Widths(weight=4, state=8, index=32)
    assert (load_prices("loihi1") | plain).cores == load_prices("loihi1").cores


def test_a_users_file_lies_on_top_of_its_base(tmp_path):
    text = (
        'base = "loihi1"\nexcludes = ["The cat."]\n[bits]\nweight = 9\n'
        '[prices.time_steps]\nvalue = 1.5\nhigh = 2\nunit = "nJ"\nevidence = "estimated"\n'
        'source = "scope on the bench"\nrange = "the bench"\n'
    )
    mine = load_prices(toml(tmp_path, text))
    assert mine.name == "mine"
    assert mine.title == "Loihi 1"
    assert (mine.prices["time_steps"].low, mine.prices["time_steps"].high) == (1.5e-9, 2e-9)
    assert mine.prices["synaptic_operations"] == load_prices("loihi1").prices["synaptic_operations"]
    assert mine.widths == Widths(weight=9)
    assert mine.excludes[-1] == "The cat."
    assert load_prices(str(tmp_path / "mine.toml")) == mine


def test_words_for_many_terms_are_spelt_out(tmp_path):
    mine = load_prices(toml(tmp_path, f'[prices.spikes]\n{ENTRY}covers = ["arithmetic", "memory", "power:chip"]\n'))
    assert mine.prices["spikes"].covers == ("additions", "multiplications", "functions", *MEMORY, "power:chip")


def test_a_memory_without_an_end_is_infinite(tmp_path):
    text = '[[memory]]\nname = "DRAM"\nkib = inf\nvalue = 20\nunit = "pJ/bit"\nevidence = "estimated"\nsource = "me"\n'
    assert load_prices(toml(tmp_path, text)).memory_for(10**15).name == "DRAM"


def test_cores_without_limits_are_said_by_leaving_them_out(tmp_path):
    cores = load_prices(toml(tmp_path, f"[cores]\n{CORES}")).cores
    assert (cores.neurons, cores.synapses, cores.per_tile) == (None, None, 4)


def test_a_name_may_be_written_in_capitals_or_with_underscores():
    assert load_prices("GENERIC_45nm_int8") == load_prices("generic-45nm-int8")


# What is wrong is said


def test_a_wrong_name_gets_the_nearest_and_the_list():
    with pytest.raises(ParameterError, match=r"'loihi' \(did you mean 'loihi1'\?\).*truenorth, xylo"):
        load_prices("loihi")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ParameterError, match=r"cannot read the price list .*nowhere\.toml"):
        load_prices(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title = ", "not valid TOML"),
        ("titel = 'x'", "unknown key 'titel' .did you mean 'title'"),
        ("base = 'loihi'", "did you mean 'loihi1'"),
        ("excludes = 'all'", "excludes is 'all', expected a list"),
        ("prices = 3", "prices. is 3, expected a table"),
        ("[prices]\nspikes = 3", "prices.spikes. is 3, expected a table"),
        (f"[prices.spike]\n{ENTRY}", "prices.spike.: 'spike' is not a term .did you mean 'spikes'"),
        (f"[prices.spikes]\n{ENTRY}colour = 'red'", "prices.spikes.: it has the unknown key 'colour'"),
        (f"[prices.spikes]\n{ENTRY}hihg = 3", "unknown key 'hihg' .did you mean 'high'"),
        (f"[prices.spikes]\n{ENTRY}high = 1", "low = 2 and high = 1"),
        (f"[prices.spikes]\n{ENTRY}high = 3", "range is empty"),
        (f"[prices.spikes]\n{ENTRY}high = inf\nrange = 'x'", "high = inf"),
        (f"[prices.spikes]\n{ENTRY}covers = ['power:all']", "'power:all' is not a term"),
        (f"[prices.spikes]\n{ENTRY}covers = 'memory'", "covers is 'memory', expected a list"),
        ("[prices.spikes]\nvalue = 2\nunit = 'pJ'\nevidence = 'estimated'", "source is missing"),
        (f"[prices.spikes]\n{ENTRY.replace('a guess', ' ')}", "source is empty"),
        (f"[prices.spikes]\n{ENTRY.replace('estimated', 'measurd')}", "did you mean 'measured'"),
        (f"[prices.spikes]\n{ENTRY.replace('pJ', 'mW')}", "unit is 'mW', expected one of J, mJ"),
        (f"[prices.spikes]\n{ENTRY.replace('2', 'true')}", "value is True, expected a number"),
        (f"[prices.spikes]\n{ENTRY.replace('2', '-2')}", "value is -2, expected a number"),
        (f"[power.chip]\n{ENTRY.replace('pJ', 'mW')}part = 'board'", "part is 'board', expected one of chip"),
        (f"[power.chip]\n{ENTRY.replace('pJ', 'mW')}per = 'core'", "per is 'core', expected 'chip' or 'system'"),
        (f"[times.barier]\n{ENTRY.replace('pJ', 'ns')}", "did you mean 'barrier'"),
        (f"[memory]\n{ENTRY}", "write ..memory.. for each"),
        (f"[[memory]]\nname = 'm'\n{ENTRY.replace('pJ', 'pJ/bit')}", "kib is missing"),
        ("[cores]\nneurons = 3", "cores.: per_tile is missing"),
        ("[cores]\nsize = 3", "cores. has the unknown key 'size'"),
        (f"[prices.spikes]\n{ENTRY.replace(chr(34) + 'a guess' + chr(34), '3')}", "source is 3, expected a text"),
        (f"[prices.spikes]\n{ENTRY.replace(chr(34) + 'pJ' + chr(34), '[1]')}", "unit is .1., expected a text"),
        (f"[cores]\n{CORES.replace('4', '0')}", "cores.: per_tile is 0, expected a whole number"),
        (f"[cores]\n{CORES.replace('measured', 'seen')}", "cores.: evidence is 'seen'"),
        ("[bits]\nweight = 0", "bits.: weight has 0 bits"),
        ("[bits]\nweights = 8", "unknown key 'weights' .did you mean 'weight'"),
        (f"base = 'truenorth'\n[prices.packets]\n{ENTRY}", "includes packets"),
    ],
)
def test_an_error_in_a_file_names_file_and_key_in_one_line(tmp_path, text, said):
    with pytest.raises(ParameterError, match=rf"mine\.toml.*{said}") as caught:
        load_prices(toml(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_base_that_includes_the_price_is_a_scope_error(tmp_path):
    with pytest.raises(ScopeError):
        load_prices(toml(tmp_path, f"base = 'truenorth'\n[prices.packets]\n{ENTRY}"))


@pytest.mark.parametrize("name", LISTS)
def test_the_description_shows_every_number_with_its_source(name):
    prices = load_prices(name)
    text = describe(prices)
    flat = " ".join(text.split())
    for entry in numbers_of(prices):
        assert f"{entry.in_shown_unit(entry.value):.4g} {entry.shown_unit}" in flat
        # A line may break at a hyphen.
        assert entry.source.replace(" ", "").replace("-", "") in text.replace("\n", "").replace(" ", "").replace(
            "-", ""
        )
    assert max(map(len, text.splitlines())) <= 100


def test_the_description_names_what_has_no_price():
    """SNE includes time steps and charges operations; hops it does neither include nor charge."""
    missing = describe(load_prices("sne")).partition("without a price:")[2]
    words = {word.strip() for word in missing.replace("\n", " ").split(",")}
    assert "hops_east_west" in words
    assert not {"time_steps", "synaptic_operations", "weight_read_bits"} & words
    assert words <= set(TERMS)
