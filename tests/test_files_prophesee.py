"""Prophesee's RAW (EVT2, EVT2.1, EVT3) and DAT: the published words, bit by bit, and other programs as judges.

Golden files are put together here from the tables of docs.prophesee.ai ("EVT 2.0 Format", "EVT 2.1 Format",
"EVT 3.0 Format", "DAT File Format"), never by the writers that are tested.
"""

import struct
import tracemalloc

import faery
import numpy as np
import pytest
from expelliarmus import Wizard
from hypothesis import given, settings
from hypothesis import strategies as st

from dvs.errors import FormatError, InputError
from dvs.events import EVENT_DTYPE, Recording, empty_events, join_events, make_events
from dvs.files import dat, evt2, evt3, evt21
from dvs.files.attributes import pack_attributes
from dvs.files.spool import Spool

KINDS = {module.FORMAT.name: module.FORMAT for module in (evt2, evt21, evt3, dat)}
WRITTEN = ["evt2", "evt3", "dat"]
NOTES = {"sensor": "ideal", "theta": 0.2, "source": "é <&> \"'\n% end\n", "frames": [1, 2]}
written = pytest.mark.parametrize("name", WRITTEN)
every = pytest.mark.parametrize("name", KINDS)


def save(name, path, recording):
    with Spool(path.parent) as spool:
        spool.append(recording.events)
        KINDS[name].write(path, spool, pack_attributes(recording))
    return path


def of(rows, width=1280, height=720, **about):
    """A recording of rows (x, y, t, p)."""
    return Recording(events=np.array(rows, EVENT_DTYPE), width=width, height=height, **about)


def rows(events):
    return [tuple(int(value) for value in event) for event in events]


# Words of the published tables


def evt2_high(steps_of_64_us):
    return 0x8 << 28 | steps_of_64_us


def evt2_event(t_low, x, y, p):
    return p << 28 | t_low << 22 | x << 11 | y


def evt3_y(y):
    return 0x0 << 12 | y


def evt3_x(x, p):
    return 0x2 << 12 | p << 11 | x


def evt3_base(x, p):
    return 0x3 << 12 | p << 11 | x


def evt3_vect12(mask):
    return 0x4 << 12 | mask


def evt3_vect8(mask):
    return 0x5 << 12 | mask


def evt3_low(t_low):
    return 0x6 << 12 | t_low


def evt3_high(steps_of_4096_us):
    return 0x8 << 12 | steps_of_4096_us


EVT3_NOISE = {"CONTINUED_4": 0x7123, "EXT_TRIGGER": 0xA101, "OTHERS": 0xE016, "CONTINUED_12": 0xFABC, "type 11": 0xB7FF}
EVT2_NOISE = {"EXT_TRIGGER": 0xA0000001, "OTHERS": 0xE0000016, "CONTINUED": 0xFABCDEF0}

HEADERS = {
    "evt2": b"% evt 2.0\n% format EVT2;height=720;width=1280\n% geometry 1280x720\n% end\n",
    "evt2.1": b"% evt 2.1\n% format EVT21;height=720;width=1280;endianness=legacy\n% end\n",
    "evt3": b"% evt 3.0\n% format EVT3;height=720;width=1280\n% geometry 1280x720\n% end\n",
    "dat": b"% Data file containing CD events\n% Version 2\n% Width 1280\n% Height 720\n\x0c\x08",
}
CODES = {"evt2": "<u4", "evt2.1": "<u8", "evt3": "<u2", "dat": "<u8"}


def golden(path, name, words, header=None):
    path.write_bytes((HEADERS[name] if header is None else header) + np.array(words, CODES[name]).tobytes())
    return path


def decoded(path, name):
    return rows(join_events(list(KINDS[name].blocks(path))))


# What files of others say


def test_evt2_is_read_as_its_table_says(tmp_path):
    """Time = 64 x TIME_HIGH + the 6 bits of the event: 64 * 3 + 5 = 197 us and 64 * 4 + 63 = 319 us."""
    words = [evt2_high(3), evt2_event(5, 1279, 719, 1), *EVT2_NOISE.values(), evt2_high(4), evt2_event(63, 7, 2, 0)]
    path = golden(tmp_path / "a.raw", "evt2", words)
    assert decoded(path, "evt2") == [(1279, 719, 197, 1), (7, 2, 319, 0)]


@pytest.mark.parametrize("noise", EVT3_NOISE)
def test_evt3_is_read_as_its_table_says(noise, tmp_path):
    """Row and both parts of the time stay until they change; other words change nothing."""
    words = [
        evt3_high(2), evt3_low(7), evt3_y(5), evt3_x(10, 1), EVT3_NOISE[noise], evt3_x(11, 0),  # 2 * 4096 + 7 = 8199
        evt3_low(9), evt3_x(12, 1),  # 8201
        evt3_high(2), evt3_x(13, 1),  # the same again: 8201
        evt3_high(3), evt3_x(14, 1),  # 3 * 4096 + 9 = 12297
        evt3_y(6), evt3_x(14, 0),
    ]  # fmt: skip
    path = golden(tmp_path / "a.raw", "evt3", words)
    assert decoded(path, "evt3") == [
        (10, 5, 8199, 1), (11, 5, 8199, 0), (12, 5, 8201, 1), (13, 5, 8201, 1), (14, 5, 12297, 1), (14, 6, 12297, 0)
    ]  # fmt: skip


def test_a_vector_of_evt3_is_one_event_for_each_bit_and_moves_its_base(tmp_path):
    """12 and 12 and 8 columns from 100 on, then the next three words from 132 on; polarity is the base's."""
    words = [
        evt3_high(0), evt3_low(0), evt3_y(1), evt3_base(100, 1),
        evt3_vect12(0b100000000001), evt3_vect12(0b10), evt3_vect8(0b10000000),
        evt3_x(3, 0),
        evt3_vect12(0b1), evt3_vect12(0), evt3_vect8(0),
    ]  # fmt: skip
    path = golden(tmp_path / "a.raw", "evt3", words)
    assert [(x, p) for x, _, _, p in decoded(path, "evt3")] == [
        (100, 1),
        (111, 1),
        (113, 1),
        (131, 1),
        (3, 0),
        (132, 1),
    ]


def test_vectors_of_evt3_need_not_come_in_threes(tmp_path):
    """faery writes 12 and 8 columns alone: the second begins where the first ends, at 100 + 12."""
    words = [evt3_high(0), evt3_low(0), evt3_y(1), evt3_base(100, 0), evt3_vect12(0xFFF), evt3_vect8(0b11)]
    path = golden(tmp_path / "a.raw", "evt3", words)
    assert [x for x, *_ in decoded(path, "evt3")] == [*range(100, 112), 112, 113]


def test_what_comes_before_the_first_time_row_or_base_is_no_event(tmp_path):
    words = [
        evt3_low(5), evt3_y(1), evt3_x(1, 1), evt3_high(1), evt3_vect8(0xFF), evt3_base(8, 1), evt3_x(2, 1),
        evt3_vect8(0b1)
    ]  # fmt: skip
    assert decoded(golden(tmp_path / "a.raw", "evt3", words), "evt3") == [(2, 1, 4096, 1), (8, 1, 4096, 1)]
    assert decoded(golden(tmp_path / "b.raw", "evt3", words[3:5] + words[6:]), "evt3") == []
    words = [evt2_event(1, 1, 1, 1), evt2_high(1), evt2_event(1, 2, 1, 1)]
    assert decoded(golden(tmp_path / "c.raw", "evt2", words), "evt2") == [(2, 1, 65, 1)]


def test_rows_of_another_kind_of_event_are_silent(tmp_path):
    """Type 1 was the row of absolute-light events of early sensors; the next row of type 0 ends it."""
    words = [evt3_high(0), evt3_y(1), evt3_x(1, 1), 0x1 << 12 | 4, evt3_x(2, 1), evt3_y(2), evt3_x(3, 1)]
    assert decoded(golden(tmp_path / "a.raw", "evt3", words), "evt3") == [(1, 1, 0, 1), (3, 2, 0, 1)]


@pytest.mark.parametrize("endianness", ["legacy", "little"])
def test_evt21_is_read_in_both_orders_of_its_halves(endianness, tmp_path):
    """The same word of EVT2 and mask of 32 columns: the word in the low half (legacy), or in the high one."""

    def word(head, mask):
        return mask << 32 | head if endianness == "legacy" else head << 32 | mask

    words = [word(evt2_high(2), 0), word(evt2_event(3, 64, 9, 1), 1 << 31 | 1), word(evt2_event(4, 0, 9, 0), 0b10)]
    header = f"% evt 2.1\n% format EVT21;height=720;width=1280;endianness={endianness}\n% end\n".encode()
    path = golden(tmp_path / "a.raw", "evt2.1", words, header)
    assert decoded(path, "evt2.1") == [(64, 9, 131, 1), (95, 9, 131, 1), (1, 9, 132, 0)]
    assert evt21.FORMAT.read(path).width == 1280


@pytest.mark.parametrize(
    ("lines", "head"),
    [
        ("% evt 2.1\n% geometry 1280x720\n% system_ID 49\n", 0),  # the IMX636 of an EVK3, in the years before `format`
        ("% evt 2.1\n% geometry 1280x720\n% system_ID 64\n", 1),  # a GenX320
        ("% evt 2.1\n% geometry 1280x720\n", 1),
        ("% evt 2.1\n% geometry 1280x720\n% endianness legacy\n", 0),
    ],
)
def test_evt21_that_does_not_say_its_order_has_that_of_its_camera(lines, head, tmp_path):
    shift = 0 if head == 0 else 32
    words = [evt2_high(1) << shift, evt2_event(0, 5, 6, 1) << shift | 1 << (32 - shift)]
    assert decoded(golden(tmp_path / "a.raw", "evt2.1", words, lines.encode() + b"% end\n"), "evt2.1") == [
        (5, 6, 64, 1)
    ]


def test_evt21_in_an_unknown_order_is_refused(tmp_path):
    path = golden(tmp_path / "a.raw", "evt2.1", [], b"% format EVT21;height=2;width=2;endianness=big\n% end\n")
    with pytest.raises(FormatError, match="endianness 'big', expected little or legacy"):
        list(evt21.FORMAT.blocks(path))


@pytest.mark.parametrize("kind", [0x00, 0x0C])
def test_dat_is_read_as_its_table_says(kind, tmp_path):
    """Time, then 14 bits column, 14 bits row and the polarity above them."""
    words = [4_294_967_295 | (1 << 28 | 719 << 14 | 1279) << 32]
    path = golden(tmp_path / "a.dat", "dat", words, HEADERS["dat"][:-2] + bytes([kind, 8]))
    assert decoded(path, "dat") == [(1279, 719, 4_294_967_295, 1)]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"% Version 2\n\x0e\x08", "type 14 and 8 bytes, expected contrast events"),
        (b"% Version 2\n\x0c\x10", "type 12 and 16 bytes, expected contrast events"),
        (b"% Version 1\n\x0c\x08", "is DAT version 1, expected 2"),
        (b"% Version 2\n\x0c", "cut short: type and size"),
    ],
)
def test_dat_of_other_events_is_refused(header, message, tmp_path):
    path = golden(tmp_path / "a.dat", "dat", [], header)
    with pytest.raises(FormatError, match=message):
        list(dat.FORMAT.blocks(path))


# Time that rolls over


def test_time_rolls_over_where_its_high_part_falls_by_half_its_range(tmp_path):
    """EVT3 after 2^24 us, EVT2 after 2^34 us, DAT after 2^32 us; each twice."""
    words = [evt3_y(0)]
    for _ in range(3):
        words += [evt3_high(0xFFF), evt3_low(0xFFF), evt3_x(1, 1), evt3_high(0), evt3_low(1), evt3_x(2, 1)]
    t_us = [t for _, _, t, _ in decoded(golden(tmp_path / "3.raw", "evt3", words), "evt3")]
    assert t_us == [turn * 2**24 + rest for turn in range(3) for rest in (2**24 - 1, 2**24 + 1)]

    words = [evt2_high(2**28 - 1), evt2_event(63, 1, 1, 1), evt2_high(0), evt2_event(1, 1, 1, 1)] * 2
    t_us = [t for _, _, t, _ in decoded(golden(tmp_path / "2.raw", "evt2", words), "evt2")]
    assert t_us == [2**34 - 1, 2**34 + 1, 2 * 2**34 - 1, 2 * 2**34 + 1]

    path = golden(tmp_path / "a.dat", "dat", [2**32 - 1, 1, 2**32 - 1, 1])
    assert [t for _, _, t, _ in decoded(path, "dat")] == [2**32 - 1, 2**32 + 1, 2 * 2**32 - 1, 2 * 2**32 + 1]


def test_a_small_step_back_is_no_roll_over_and_is_sorted_when_all_is_read(tmp_path):
    """5 then 4 steps of 4096 us: events as the file holds them in blocks, in order of time in a recording."""
    words = [evt3_y(0), evt3_high(5), evt3_x(1, 1), evt3_high(4), evt3_x(2, 1), evt3_x(3, 1)]
    path = golden(tmp_path / "a.raw", "evt3", [evt3_high(0), *words])
    assert [t for _, _, t, _ in decoded(path, "evt3")] == [20480, 16384, 16384]
    with pytest.warns(UserWarning, match="1 of 3 events came before their time"):
        assert [x for x, *_ in rows(evt3.FORMAT.read(path).events)] == [2, 3, 1]


# What ours say


def test_evt3_is_written_in_the_words_of_its_table(tmp_path):
    """TIME_HIGH from 0 on without a gap; five neighbours and more are a vector of 12, 12 and 8 columns.

    Four words make a vector with its base, so four events alone are shorter.
    """
    run = [(100 + k, 3, 4097, 1) for k in range(5)]
    path = save("evt3", tmp_path / "a.raw", of([(7, 2, 5, 0), *run, (1, 3, 4097, 0), (2, 3, 4097, 0)]))
    assert words_of(path, "evt3") == [
        evt3_high(0), evt3_low(5), evt3_y(2), evt3_x(7, 0),
        evt3_high(1), evt3_low(1), evt3_y(3), evt3_base(100, 1), evt3_vect12(0b11111), evt3_vect12(0), evt3_vect8(0),
        evt3_x(1, 0), evt3_x(2, 0),
    ]  # fmt: skip
    path = save("evt3", tmp_path / "b.raw", of(run[:4]))
    assert words_of(path, "evt3")[3:] == [evt3_y(3), *(evt3_x(100 + k, 1) for k in range(4))]


def test_a_vector_at_the_edge_begins_32_columns_before_it(tmp_path):
    """Columns 35 to 39 of 40: from 8 on. A sensor of 31 columns has no vectors at all."""
    path = save("evt3", tmp_path / "a.raw", of([(x, 0, 0, 1) for x in range(35, 40)], 40, 1))
    expected = [evt3_base(8, 1), evt3_vect12(0), evt3_vect12(0), evt3_vect8(0)]
    for x in range(35, 40):
        word, bit = divmod(x - 8, 12)
        expected[1 + word] |= 1 << bit
    assert words_of(path, "evt3")[3:] == expected
    path = save("evt3", tmp_path / "b.raw", of([(x, 0, 0, 1) for x in range(31)], 31, 1))
    assert words_of(path, "evt3")[3:] == [evt3_x(x, 1) for x in range(31)]


def test_evt2_and_dat_are_written_in_the_words_of_their_tables(tmp_path):
    recording = of([(1279, 719, 63, 1), (3, 2, 64, 0), (3, 2, 2**32 - 1, 1)])
    assert words_of(save("evt2", tmp_path / "a.raw", recording), "evt2") == [
        evt2_high(0), evt2_event(63, 1279, 719, 1), evt2_high(1), evt2_event(0, 3, 2, 0),
        evt2_high(2**26 - 1), evt2_event(63, 3, 2, 1),
    ]  # fmt: skip
    path = save("dat", tmp_path / "a.dat", recording)
    header = path.read_bytes()[: -3 * 8]
    assert header.startswith(b"% Data file containing CD events\n% Version 2\n% Width 1280\n% Height 720\n")
    assert header.endswith(b"\n\x0c\x08")
    assert path.read_bytes()[-3 * 8 :] == struct.pack(
        "<6I", 63, 1 << 28 | 719 << 14 | 1279, 64, 2 << 14 | 3, 2**32 - 1, 1 << 28 | 2 << 14 | 3
    )


def words_of(path, name):
    data = path.read_bytes()
    return np.frombuffer(data[data.index(b"% end\n") + 6 :], CODES[name]).tolist()


@st.composite
def recordings(draw, last_us, side=2048):
    """Single events and rows of neighbours, dense and with holes, either way, close in time or hours apart."""
    width, height = draw(st.sampled_from([1, 31, 32, 33, 40, 1280, side])), draw(st.sampled_from([1, 480, side]))
    turns = [t_us for t_us in (0, 4095, 2**24 - 3, 3 * 2**24 + 5, 2**34 - 1, last_us // 2) if t_us <= last_us]
    start_us = t_us = draw(st.sampled_from(turns) | st.integers(0, last_us))
    found = []
    for _ in range(draw(st.integers(0, 12))):
        t_us += draw(st.sampled_from([0, 0, 1, 63, 64, 4096, 2**24 - 1, 2**24, 2**25, 2**34, 2**35]))
        if t_us > last_us:
            break
        x, y, p = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1)), draw(st.integers(0, 1))
        length, hole, step = (
            draw(st.sampled_from(pick)) for pick in ([1, 4, 5, 12, 32, 33, 70], [1, 1, 2, 9], [1, -1])
        )
        found += [(column, y, t_us, p) for column in range(x, min(x + length, width), hole)[::step]]
    notes = draw(st.dictionaries(st.text(), st.integers() | st.text(), max_size=2))
    return of(found, width, height, start_us=draw(st.integers(0, start_us)), stop_us=last_us, provenance=notes)


@written
def test_what_is_written_is_read_back(name, tmp_path_factory):
    """Events, size, span and provenance, as blocks and as a whole, for any times and sensor the format holds."""
    kind = KINDS[name]
    path = tmp_path_factory.mktemp(name) / "events"

    @settings(max_examples=60, deadline=None)
    @given(recordings(min(kind.last_us, 2**43), side=kind.largest[0]))
    def round_trip(recording):
        save(name, path, recording)
        back = kind.read(path)
        np.testing.assert_array_equal(back.events, recording.events)
        np.testing.assert_array_equal(join_events(list(kind.blocks(path))), recording.events)
        for part in ("width", "height", "start_us", "stop_us", "provenance"):
            assert getattr(back, part) == getattr(recording, part)

    round_trip()


@written
def test_the_ends_of_time_and_sensor_are_held(name, tmp_path):
    """The first and the last microsecond and pixel that the format promises, in a file of a few megabytes."""
    kind = KINDS[name]
    width, height = kind.largest
    recording = of([(0, 0, 0, 1), (width - 1, height - 1, kind.last_us, 0)], width, height)
    path = save(name, tmp_path / "a", recording)
    np.testing.assert_array_equal(KINDS[name].read(path).events, recording.events)
    assert path.stat().st_size < 2.2e6


@written
def test_a_still_scene_is_an_observation_too(name, tmp_path):
    still = Recording(events=empty_events(), width=346, height=260, start_us=5, stop_us=1_000_000, provenance=NOTES)
    back = KINDS[name].read(save(name, tmp_path / "a", still))
    assert (len(back), back.width, back.height, back.start_us, back.stop_us) == (0, 346, 260, 5, 1_000_000)
    assert back.provenance == NOTES


@written
def test_many_blocks_are_one_stream(name, tmp_path):
    """A million events, half of them rows: more than one piece of the file, one spool block and one block read."""
    recording = busy(1_000_000)
    path = save(name, tmp_path / "a", recording)
    blocks = list(KINDS[name].blocks(path))
    assert len(blocks) > 2
    np.testing.assert_array_equal(join_events(blocks), recording.events)
    np.testing.assert_array_equal(KINDS[name].read(path).events, recording.events)


def busy(count, length_us=20_000_000, width=1280, height=720, seed=0):
    """Half single events, half rows of 20 neighbours: over 24 bits of time, 16.8 s, from the first second on."""
    rng = np.random.default_rng(seed)
    lengths = np.repeat([1, 20], [count // 2, count // 40])
    first = np.repeat(np.cumsum(lengths) - lengths, lengths)
    columns = {
        "x": rng.integers(0, width - 20, lengths.size),
        "y": rng.integers(0, height, lengths.size),
        "t": rng.integers(0, length_us, lengths.size),
        "p": rng.integers(0, 2, lengths.size),
    }
    x, y, t, p = (np.repeat(column, lengths) for column in columns.values())
    x = x + np.arange(x.size) - first
    order = np.argsort(t, kind="stable")
    return Recording(
        events=make_events(x[order], y[order], t[order], p[order]), width=width, height=height, provenance=NOTES
    )


# OpenEB's decoder


def openeb(words, width, height):
    """OpenEB 5's decoder of EVT3 with its strictest check of grammar, word by word: events and violations.

    From hal/decoders/evt3/evt3_decoder.h and evt3_validator.h (Prophesee, Apache-2): three words to a vector,
    whatever they are; none that leaves the sensor; no event before a time and a row.
    """
    events, violations = [], []
    high = next((word & 0xFFF for word in words if word >> 12 == 8), None)
    if high is None:
        return events, violations
    high, low, loops = max(high - 1, 0), 0, 0
    row = base = None
    on = timed = False
    k = next(k for k, word in enumerate(words) if word >> 12 == 8)
    while k < len(words):
        kind, value = words[k] >> 12, words[k] & 0xFFF
        t_us = loops << 24 | high << 12 | low
        if kind == 2:
            if row is None:
                violations.append("MissingYAddr")
            elif timed and row < height:
                events.append((value & 0x7FF, row, t_us, value >> 11))
        elif kind == 4:
            if [word >> 12 for word in words[k : k + 3]] != [4, 4, 5]:
                violations.append("PartialVect_12_12_8")
            elif base is None or base + 32 > width:
                violations.append("InvalidVectBase")
            elif row is None:
                violations.append("MissingYAddr")
            else:
                mask = value | (words[k + 1] & 0xFFF) << 12 | (words[k + 2] & 0xFF) << 24
                events += [(base + bit, row, t_us, int(on)) for bit in range(32) if mask >> bit & 1]
            base = None if base is None else base + 32
            k += 2
        elif kind == 8:
            step = value - high
            timed = step >= 0 or step + 0xFFF < 0xFF
            if not timed:
                violations.append("NonMonotonicTimeHigh")
            elif step not in (0, 1) and (high, value) != (0xFFF, 0):
                violations.append("NonContinuousTimeHigh")
            loops += high >= 2**11 + value
            low = low if high == value else 0
            high = value
        elif kind == 0:
            row = value & 0x7FF
        elif kind == 3:
            base, on = value & 0x7FF, value >> 11
        elif kind == 6:
            low = value
        k += 1
    return events, violations


@settings(max_examples=100, deadline=None)
@given(recordings(2**28))
def test_openeb_accepts_every_word_of_evt3(tmp_path_factory, recording):
    """No violation of its grammar, but for silences longer than a turn, whose TIME_HIGHs are not all written."""
    path = save("evt3", tmp_path_factory.getbasetemp() / "openeb.raw", recording)
    events, violations = openeb(words_of(path, "evt3"), recording.width, recording.height)
    assert events == rows(recording.events)
    assert set(violations) <= {"NonContinuousTimeHigh"}
    if recording.events.size and recording.events["t"][0] < 2**23 and (np.diff(recording.events["t"]) < 2**23).all():
        assert not violations


def test_openeb_is_a_judge_that_objects():
    """faery's vector of 12 and 8 columns, one that leaves the sensor, one without a base."""
    start = [evt3_high(0), evt3_low(0), evt3_y(0), evt3_base(1250, 1)]
    vector = [evt3_vect12(1), evt3_vect12(1), evt3_vect8(1)]
    assert openeb([*start, evt3_vect12(1), evt3_vect8(1), evt3_low(2)], 1280, 720)[1] == ["PartialVect_12_12_8"]
    assert openeb(start + vector, 1280, 720)[1] == ["InvalidVectBase"]
    assert openeb(start[:3] + vector, 1280, 720)[1] == ["InvalidVectBase"]
    assert openeb(start + vector, 1282, 720) == ([(1250, 0, 0, 1), (1262, 0, 0, 1), (1274, 0, 0, 1)], [])


# Other programs


def read_by_faery(path, name):
    events = np.concatenate(list(faery.events_stream_from_file(path, dimensions_fallback=(1280, 720))))
    return events["x"], events["y"], events["t"], events["on"]


def read_by_expelliarmus(path, name):
    events = Wizard(encoding=name.replace(".", "")).read(path)
    return events["x"], events["y"], events["t"], events["p"]


def read_by_evutils(path, name):
    evutils = pytest.importorskip("evutils.io", reason="the reader evutils is not installed")
    reader = evutils.EventReader(str(path))
    events = reader.read_all()
    reader.close()
    return events.x, events.y, events.t, events.p


def read_by_evt3(path, name):
    events = pytest.importorskip("evt3", reason="the reader evt3 is not installed").decode_file(str(path))
    return events.x, events.y, events.t, events.p


JUDGES = [
    ("evt2", read_by_faery), ("evt2", read_by_expelliarmus), ("evt2", read_by_evutils),
    ("evt3", read_by_faery), ("evt3", read_by_evutils), ("evt3", read_by_evt3),
    ("dat", read_by_faery), ("dat", read_by_expelliarmus), ("dat", read_by_evutils),
]  # fmt: skip
SUFFIX = {"evt2": ".raw", "evt2.1": ".raw", "evt3": ".raw", "dat": ".dat"}


def assert_same(columns, events):
    for column, name in zip(columns, "xytp", strict=True):
        np.testing.assert_array_equal(np.asarray(column).astype(np.int64), events[name].astype(np.int64))


@pytest.mark.parametrize(("name", "reader"), JUDGES)
def test_others_read_what_is_written(name, reader, tmp_path):
    """Event for event, through the roll-over of EVT3 after 16.8 s, with notes of 20 kB in the header."""
    recording = busy(100_000)
    recording.provenance["long"] = "y" * 20_000
    assert_same(reader(save(name, tmp_path / f"a{SUFFIX[name]}", recording), name), recording.events)


@pytest.mark.parametrize(("name", "reader"), JUDGES)
def test_others_read_times_hours_after_the_start(name, reader, tmp_path):
    """An hour is 214 turns of EVT3; faery counts those that it is led through in less than half a turn."""
    recording = of([(k, k, 3_600_000_000 + 40_000_000 * k, k % 2) for k in range(10)])
    assert_same(reader(save(name, tmp_path / f"a{SUFFIX[name]}", recording), name), recording.events)


def write_by_faery(path, name, recording):
    events = np.empty(len(recording), faery.EVENTS_DTYPE)
    events["t"], events["x"], events["y"], events["on"] = (recording.events[column] for column in "txyp")
    stream = faery.events_stream_from_array(events, (recording.width, recording.height))
    stream.to_file(path, **({} if name == "dat" else {"version": name}))


def write_by_expelliarmus(path, name, recording):
    events = np.empty(len(recording), [("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "u1")])
    for column in "txyp":
        events[column] = recording.events[column]
    Wizard(encoding=name).save(fpath=path, arr=events)


def write_by_evutils(path, name, recording):
    events = np.empty(len(recording), [("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])
    for column in "txyp":
        events[column] = recording.events[column]
    encoders = pytest.importorskip("evutils.io.encoders", reason="the writer evutils is not installed")
    with path.open("wb") as file:
        if name == "dat":
            encoders.EventEncoder_Dat(file, recording.width, recording.height).write(events)
        else:
            encoders.EventEncoder_EVT(file, recording.width, recording.height, format=name).write(events)


WRITERS = [
    ("evt2", write_by_faery), ("evt2", write_by_expelliarmus), ("evt2", write_by_evutils), ("evt2.1", write_by_evutils),
    ("evt3", write_by_faery), ("evt3", write_by_evutils),
    ("dat", write_by_faery), ("dat", write_by_expelliarmus), ("dat", write_by_evutils),
]  # fmt: skip


@pytest.mark.parametrize(("name", "writer"), WRITERS)
def test_what_others_write_is_read(name, writer, tmp_path):
    """Event for event and as absolute times: faery counts from the first event and names its time in the header.

    expelliarmus writes no size but the number of a VGA camera: 1280 columns show that it is none.
    """
    path = tmp_path / f"a{SUFFIX[name]}"
    recording = busy(50_000)
    writer(path, name, recording)
    back = KINDS[name].read(path)
    assert KINDS[name].recognises(path)
    np.testing.assert_array_equal(back.events, recording.events)
    assert writer is write_by_expelliarmus or (back.width, back.height) == (1280, 720)


@pytest.mark.parametrize(
    ("file", "name", "reader"),
    [
        ("evt2.raw", "evt2", read_by_faery), ("evt2.raw", "evt2", read_by_expelliarmus),
        ("evt2.raw", "evt2", read_by_evutils),
        ("evt3_sample.raw", "evt3", read_by_evutils), ("evt3_sample.raw", "evt3", read_by_evt3),
    ],
)  # fmt: skip
def test_recordings_of_real_sensors_are_read_as_others_read_them(file, name, reader, shared_data):
    """Not by faery in EVT3: it takes a single event for the beginning of the next vector."""
    path = shared_data / "formats" / file
    assert_same(reader(path, name), KINDS[name].read(path).events)


def test_recordings_of_real_sensors_have_the_size_of_their_camera(shared_data):
    """521,252 events in 95.9 ms of a VGA sensor, 219,596 in 8.8 ms of an HD one; neither file says its size."""
    folder = shared_data / "formats"
    vga, hd = evt2.FORMAT.read(folder / "evt2.raw"), evt3.FORMAT.read(folder / "evt3_sample.raw")
    assert (len(vga), vga.sensor_size[:2], round(vga.duration_s, 4)) == (521_252, (640, 480), 0.0959)
    assert (len(hd), hd.sensor_size[:2], round(hd.duration_s, 4)) == (219_596, (1280, 720), 0.0088)


# Headers


def test_each_encoding_is_recognised_by_what_its_header_says(tmp_path):
    for name in ("evt2", "evt2.1", "evt3"):
        path = golden(tmp_path / "a.raw", name, [])
        assert [other for other in ("evt2", "evt2.1", "evt3") if KINDS[other].recognises(path)] == [name]
    for line, name in (("evt 2.0", "evt2"), ("evt 3.0", "evt3"), ("system_ID 48", "evt3"), ("system_ID 21", "evt2")):
        path = golden(tmp_path / "a.raw", name, [], f"% {line}\n".encode())
        assert KINDS[name].recognises(path)


@every
@pytest.mark.parametrize(
    "content", [b"", b"%", b"% ", b"t,x,y,p\n1,2,3,4\n", b"\x89HDF\r\n\x1a\n", b"#!AER-DAT4.0\r\n"]
)
def test_foreign_files_are_not_recognised(name, content, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(content)
    if content == b"% ":
        with pytest.raises(FormatError, match="the header does not end"):
            KINDS[name].recognises(path)
    else:
        assert not KINDS[name].recognises(path)


def test_a_header_may_lack_its_end_and_hold_lines_that_nobody_knows(tmp_path):
    """The first line that does not begin with "% " begins the data, as the documentation says."""
    header = b"% evt 3.0\n% mood good\n%  \n% geometry 40x30\n"
    path = golden(tmp_path / "a.raw", "evt3", [evt3_high(0), evt3_y(1), evt3_x(2, 1)], header)
    assert rows(evt3.FORMAT.read(path).events) == [(2, 1, 0, 1)]
    assert (evt3.FORMAT.read(path).width, evt3.FORMAT.read(path).height) == (40, 30)


def test_a_file_without_size_ends_at_its_outermost_event(tmp_path):
    """Column 6 and row 2: 7 x 3, watched from the first event to the last. Without events nothing is known."""
    path = golden(tmp_path / "a.raw", "evt3", [evt3_high(1), evt3_y(2), evt3_x(6, 1)], b"% evt 3.0\n")
    assert dict(evt3.FORMAT.attributes(path)) == {}
    back = evt3.FORMAT.read(path)
    assert (back.width, back.height, back.start_us, back.stop_us) == (7, 3, 4096, 4096)
    with pytest.raises(InputError, match="no events and no sensor size"):
        evt3.FORMAT.read(golden(tmp_path / "b.raw", "evt3", [], b"% evt 3.0\n"))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            b"% evt 3.0\n% geometry 1280x720\n% format EVT3;width=640;height=480\n",
            "says (width|height) .* and .*; correct",
        ),
        (b"% evt 3.0\n% geometry 12a80x720\n", "width '12a80', expected a whole number"),
        (b"% evt 3.0\n% geometry 0x720\n", "width 0, expected 1 to 32767"),
        (b"% evt 3.0\n% start_us " + b"9" * 6000 + b"\n", "start_us '9{40}', expected a whole number"),
        (b"% evt 3.0\n% geometry 1280x7", "the header does not end"),
        (b"% evt 3.0" + b"0" * (1 << 21), "the header does not end"),
    ],
)
def test_a_damaged_header_is_refused(header, message, tmp_path):
    path = golden(tmp_path / "a.raw", "evt3", [], header)
    with pytest.raises(FormatError, match=message):
        evt3.FORMAT.attributes(path)


# Damage


def test_events_outside_the_sensor_are_left_out_and_counted(tmp_path):
    """Column 40 of 40 and row 30 of 30; the good ones come first, then the error with the first bad byte."""
    header = b"% evt 3.0\n% geometry 40x30\n% end\n"
    words = [evt3_high(0), evt3_y(29), evt3_x(39, 1), evt3_x(40, 1), evt3_y(30), evt3_x(1, 1), evt3_y(0), evt3_x(5, 0)]
    path = golden(tmp_path / "a.raw", "evt3", words, header)
    stream = evt3.FORMAT.blocks(path)
    assert rows(next(stream)) == [(39, 29, 0, 1), (5, 0, 0, 0)]
    with pytest.raises(FormatError, match=f"2 events outside its 40x30 sensor, the first at byte {len(header) + 6}"):
        next(stream)
    with pytest.raises(FormatError, match="2 events outside"):
        evt3.FORMAT.read(path)


def good_part(name, path):
    """The events before a file breaks off, and whether it does."""
    found = []
    try:
        for block in KINDS[name].blocks(path):
            found.append(block)
    except FormatError:
        return join_events(found), True
    return join_events(found), False


@written
def test_a_file_that_is_cut_anywhere_gives_the_events_before_the_cut(name, tmp_path):
    """Cut in the header: an error, or no event. Cut in a word: an error. Cut between words: nothing can be missed."""
    recording = of([(k % 40, k % 3, 70 * (k // 8), k % 2) for k in range(40)] + [(k, 5, 3000, 1) for k in range(40)])
    whole = save(name, tmp_path / "whole", recording).read_bytes()
    path = tmp_path / "cut"
    word = np.dtype(CODES[name]).itemsize
    lengths = set()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        events, broken = good_part(name, path)
        np.testing.assert_array_equal(events, recording.events[: events.size])
        assert broken or events.size == 0 or (len(whole) - length) % word == 0
        lengths.add(events.size)
    assert max(lengths) >= len(recording) - 8  # a vector holds up to 8 events in its last word
    assert len(lengths) > 10


@every
def test_no_damage_makes_a_reader_hang_or_grow(name, tmp_path_factory):
    """Any bytes after a header, and any byte of a good file changed: events on the sensor, or an error."""
    path = tmp_path_factory.mktemp("damage") / "a"
    width, height = 1280, 720
    good = HEADERS[name] + busy_words(name)

    def read_all():
        events, _ = good_part(name, path)
        assert events.size <= 12 * len(path.read_bytes())
        assert ((events["x"] >= 0) & (events["y"] >= 0) & (events["p"] >= 0) & (events["p"] <= 1)).all()
        return events

    @settings(max_examples=80, deadline=None)
    @given(st.binary(max_size=400))
    def any_bytes(data):
        path.write_bytes(HEADERS[name] + data)
        events = read_all()
        assert ((events["x"] < width) & (events["y"] < height)).all()

    @settings(max_examples=80, deadline=None)
    @given(st.integers(0, len(good) - 1), st.integers(1, 255))
    def one_byte(place, change):
        path.write_bytes(good[:place] + bytes([good[place] ^ change]) + good[place + 1 :])
        read_all()

    tracemalloc.start()
    any_bytes()
    one_byte()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40e6  # a block of 262,144 events is 3.4 MB


def busy_words(name):
    """Some words of each kind, in an order that makes events."""
    if name == "evt3":
        words = [
            evt3_high(1),
            evt3_low(4),
            evt3_y(9),
            evt3_x(8, 1),
            evt3_base(64, 1),
            evt3_vect12(7),
            evt3_vect12(9),
            0x5003,
        ]
    elif name == "evt2":
        words = [evt2_high(1), evt2_event(3, 5, 6, 1), evt2_event(4, 5, 7, 0)]
    elif name == "evt2.1":
        words = [evt2_high(1), 0xF0F << 32 | evt2_event(3, 5, 6, 1)]
    else:
        words = [1000 | (1 << 28 | 5 << 14 | 6) << 32, 1001 | (5 << 14 | 7) << 32]
    return np.array(words * 5, CODES[name]).tobytes()


def test_a_large_file_is_read_with_flat_memory(tmp_path):
    """10 MB of EVT3 that hold 15 million events: never more than a few blocks of 3.4 MB at a time."""
    words = np.tile(np.array([evt3_base(0, 1), evt3_vect12(0xFFF), evt3_vect12(0), evt3_vect8(0)], "<u2"), 1_250_000)
    path = golden(tmp_path / "a.raw", "evt3", [evt3_high(0), evt3_y(0)])
    with path.open("ab") as file:
        file.write(words.tobytes())
    sum(block.size for block in evt3.FORMAT.blocks(golden(tmp_path / "b.raw", "evt3", [evt3_high(0)])))  # compile first
    tracemalloc.start()
    count = sum(block.size for block in evt3.FORMAT.blocks(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 1_250_000 * 12
    assert peak < 12e6
