"""The command `snn-energy`: from a file of counts to what an inference costs."""

import json
import os
import subprocess
import sys
from importlib import import_module

import pytest
from brian2 import Network, SpikeGeneratorGroup, Synapses, ms
from click.testing import CliRunner

from dvs.sensors import load_sensor
from snn.energy.accounting import account
from snn.energy.breakeven import break_even_of
from snn.energy.counts import load
from snn.energy.meter import Meter
from snn.energy.prices import describe, load_prices, price_list_names
from snn.neurons import lif

# Not a name of the package: `import snn.energy.__main__` alone would bind `snn`.
command = import_module("snn.energy.__main__").main


@pytest.fixture
def counts_file(tmp_path_factory):
    """Two spikes of each of three inputs, at four neurons: 3 * 4 * 2 = 24 synaptic operations in 10 ms."""
    source = SpikeGeneratorGroup(3, [0, 1, 2] * 2, [1, 1, 1, 5, 5, 5] * ms, name="eye")
    cells = lif().group(4, name="cells")
    synapses = Synapses(source, cells, "w : 1 (constant)", on_pre="v += w", name="synapses")
    synapses.connect()
    synapses.w = 0.1
    network = Network(source, cells, synapses)
    meter = Meter(network)
    network.run(10 * ms)
    path = tmp_path_factory.mktemp("run") / "counts.json"
    meter.counts(name="toy").save(path)
    return path


def run(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def said_by(*arguments):
    """What it prints if all is well."""
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def complaint(*arguments):
    """The one line that it prints about an error, leaving with 2."""
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("snn-energy: ")
    return line


def test_it_prints_the_account(counts_file):
    assert said_by(counts_file, "--prices", "loihi1") == f"{account(load(counts_file), 'loihi1')}\n"
    assert "24 x 23.6 pJ" in said_by(counts_file, "--prices", "loihi1")


def test_time_chips_sensor_and_boundary_are_those_of_the_function(counts_file):
    expected = account(
        load(counts_file), "loihi1", time=3.4 * ms, chips=2, sensor=load_sensor("davis346"),
        boundary=("network", "sensor"),
    )  # fmt: skip
    options = ("--time", "3.4ms", "--chips", 2, "--sensor", "davis346", "--boundary", "network, sensor")
    assert said_by(counts_file, "--prices", "loihi1", *options) == f"{expected}\n"


@pytest.mark.parametrize(("time", "said"), [("2 us", "2 µs"), ("0.5s", "500 ms"), ("1e3ns", "1 µs"), ("3µs", "3 µs")])
def test_a_time_has_a_unit(counts_file, time, said):
    assert f"  {said} (as given)" in said_by(counts_file, "--prices", "loihi1", "--time", time)


def test_a_time_can_be_estimated(counts_file):
    expected = account(load(counts_file), "loihi1", time="estimated", cores=4)
    assert said_by(counts_file, "--prices", "loihi1", "--time", "estimated", "--cores", 4) == f"{expected}\n"


def test_the_twin_is_put_beside_it(counts_file):
    """Its prices are those of another list: Loihi has no multiply-accumulate."""
    said = " ".join(said_by(counts_file, "--prices", "loihi1", "--twin", "generic-45nm-int8").split())
    assert break_even_of(load(counts_file), load_prices("generic-45nm-int8")).verdict in said


def test_a_list_of_ones_own_is_laid_on_top(counts_file, tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text(
        '[prices.synaptic_operations]\nvalue = 1000\nunit = "pJ"\nevidence = "estimated"\nsource = "a guess"\n'
    )
    said = said_by(counts_file, "--prices", "loihi1", "--prices", mine)
    assert "24 x 1,000 pJ" in said
    assert "a guess" in said


def test_a_part_is_not_put_beside_a_price_that_includes_it(counts_file, tmp_path):
    """Static power is in TrueNorth's price of a synaptic operation already."""
    mine = tmp_path / "mine.toml"
    mine.write_text('[power.chip]\nvalue = 65\nunit = "mW"\nevidence = "estimated"\nsource = "a guess"\n')
    assert "paid twice" in complaint(counts_file, "--prices", "truenorth", "--prices", mine)


def test_the_lists_are_listed_each_with_its_title():
    said = said_by("--list").splitlines()
    for name, line in zip(price_list_names(), said, strict=False):
        assert line.split(maxsplit=1) == [name, load_prices(name).title]


def test_a_list_is_shown_with_its_sources():
    assert said_by("--show", "loihi1") == f"{describe(load_prices('loihi1'))}\n"


def test_all_outputs_are_written(counts_file, tmp_path):
    paths = {kind: tmp_path / f"account.{kind}" for kind in ("json", "html", "png")}
    options = ("--json", paths["json"], "--html", paths["html"], "--picture", paths["png"])
    said_by(counts_file, "--prices", "loihi1", *options)
    expected = account(load(counts_file), "loihi1")
    assert json.loads(paths["json"].read_text()) == json.loads(json.dumps(expected.to_dict()))
    assert paths["html"].read_text().startswith("<!DOCTYPE html>")
    assert paths["png"].read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in paths.values()}


def test_an_output_that_exists_is_kept_and_then_none_is_written(counts_file, tmp_path):
    """All or nothing; --overwrite replaces it."""
    page, record = tmp_path / "account.html", tmp_path / "account.json"
    page.write_text("mine")
    options = (counts_file, "--prices", "loihi1", "--json", record, "--html", page)
    assert "account.html exists" in complaint(*options)
    assert (page.read_text(), record.exists()) == ("mine", False)
    assert [*tmp_path.iterdir()] == [page]
    said_by(*options, "--overwrite")
    assert page.read_text() != "mine"
    assert record.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--prices", "loihi"], r"no price list is called 'loihi' (did you mean 'loihi1'?)"),
        ([], "no --prices are given; snn-energy --list shows what there is"),
        (["--prices", "loihi1", "--time", "3"], "'3' is no time; write a number and s, ms, us or ns, such as 3.4ms"),
        (["--prices", "loihi1", "--time", "3 days"], "'3 days' is no time"),
        (["--prices", "loihi1", "--time", "1.2.3ms"], "'1.2.3ms' is no time"),
        (["--prices", "loihi1", "--boundary", "network,board"], "expected some of sensor, network"),
        (["--prices", "loihi1", "--sensor", "davis34"], "did you mean 'davis346'"),
        (["--prices", "loihi1", "--chips", "0"], "--chips"),
        (["--prices", "loihi1", "--picture", "bars.jpeg2"], "end it with .png, .svg or .pdf"),
        (["--prices", "loihi1", "--twin", "loihi1"], "no price of additions and macs"),
        (["--prices", "loihi1", "--html", "/nowhere/page.html"], "there is no folder /nowhere"),
        (["--price", "loihi1"], "--price"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(counts_file, arguments, said):
    assert said in complaint(counts_file, *arguments)


def test_counts_that_cannot_be_read_are_named(tmp_path):
    assert "no COUNTS are given; snn-energy --help says what they are" in complaint("--prices", "loihi1")
    assert "missing.json" in complaint(tmp_path / "missing.json", "--prices", "loihi1")
    other = tmp_path / "other.json"
    other.write_text("{}")
    assert "other.json holds no counts" in complaint(other, "--prices", "loihi1")


def test_it_runs_as_a_module():
    """Help that shows how it is used, on a plain terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "snn.energy", "--help"], capture_output=True, text=True, check=True, timeout=60
    )
    assert "snn-energy counts.json --prices loihi1\n" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_a_terminal_without_the_signs_gets_the_numbers(counts_file):
    done = subprocess.run(
        [sys.executable, "-m", "snn.energy", str(counts_file), "--prices", "loihi1"],
        capture_output=True, text=True, check=True, timeout=120, env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert "24 x 23.6 pJ" in done.stdout
