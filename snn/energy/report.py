"""An account as people read it: as text for a terminal, and as HTML for a notebook or a page of its own.

All that is needed to compute each joule by hand stands there: count x price = energy, where the price is from, and what
is missing.
"""

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from importlib.metadata import version
from string import Template

from snn.energy.bill import STATIC, Amount, Bill, Line
from snn.energy.breakeven import BreakEven
from snn.energy.counts import Counts
from snn.energy.picture import segments
from snn.energy.prefixes import prefix_for, shown, with_prefix
from snn.energy.prices import EVIDENCE, Memory, Power, Price
from snn.energy.terms import TERMS

WIDTH = 100
"""Columns of the text."""

_PARTS = (
    ("sensor", None, "Sensor"),
    ("network", "dynamic", "Network, for what it does"),
    ("network", "static", "Network, whether or not it does anything"),
    ("host", None, "Host"),
)
_TIME_FROM = {
    "real time": "as long as was simulated",
    "given": "as given",
    "estimated": "estimated from the times of the price list",
}
_COMPARISON = "For comparison with papers, not an energy of the system"
_UNPRICED = "Without a price: the total is at least what it says"


@dataclass(frozen=True, kw_only=True)
class _Group:
    """Lines that have the term and the price in common; notes are numbers of the list at the end."""

    name: str
    price: Price | Power | Memory
    lines: tuple[Line, ...]
    notes: tuple[int, ...]


class _Notes:
    """Sources and the like, each with its number, in the order in which they are first needed."""

    def __init__(self) -> None:
        self.texts: dict[str, int] = {}

    def of(self, price: Price | Power | Memory) -> tuple[int, ...]:
        texts = (price.source, price.range and f"Low and high: {price.range}")
        return tuple(self.texts.setdefault(text, len(self.texts) + 1) for text in texts if text)


def _parts(account: Bill, notes: _Notes) -> Iterator[tuple[str, list[_Group]]]:
    """The headings of the table, and what stands under each."""
    for part, kind, heading in _PARTS:
        groups: dict[tuple[str, Price | Power | Memory], list[Line]] = {}
        for line in account.lines:
            if line.part == part and kind in (None, line.kind):
                groups.setdefault((line.term, line.price), []).append(line)
        if groups:
            found = [
                _Group(name=_name(lines[0]), price=price, lines=tuple(lines), notes=notes.of(price))
                for (_, price), lines in groups.items()
            ]
            yield heading, found


def _name(line: Line) -> str:
    return f"{_words(line.term)} in {line.price.name}" if isinstance(line.price, Memory) else _words(line.term)


def _words(term: str) -> str:
    return STATIC.get(term, term.replace("_", " "))


def _plain(sentence: str) -> str:
    """A sentence with the names of terms in words."""
    for term in TERMS:
        sentence = sentence.replace(term, _words(term))
    return sentence


# Numbers: with so many digits that what is printed multiplies to what is printed


def _count(line: Line) -> str:
    """How many an inference; of a power, how many seconds."""
    if isinstance(line.price, Power):
        return with_prefix(line.per_inference, "s", 9)
    return shown(line.per_inference, 15 if line.per_inference == int(line.per_inference) else 10)


def _price(price: Price | Power | Memory) -> str:
    return f"{shown(price.in_shown_unit(price.value), 7)} {_unit(price)}"


def _price_range(price: Price | Power | Memory) -> str:
    if price.high == price.low:
        return ""
    low, high = (shown(price.in_shown_unit(bound), 7) for bound in (price.low, price.high))
    return f"{low} to {high} {_unit(price)}"


def _unit(price: Price | Power | Memory) -> str:
    return price.shown_unit.replace("u", "µ")


def _joules(value: float) -> str:
    return with_prefix(value, "J", 4)


def _low_high(amount: Amount | Line) -> str:
    """Both with the prefix of the higher one, or a dash where no range is known."""
    if not amount.high > amount.low:
        return "-"
    factor, prefix = prefix_for(float(f"{amount.high:.4g}"))
    low, high = (shown(bound / factor, 4) for bound in (amount.low, amount.high))
    return f"{low} to {high} {prefix}J"


def _share(joules: float, account: Bill) -> str:
    total = account.total.joules
    if not total:
        return "-"
    return "< 0.1 %" if 0 < joules < 0.0005 * total else f"{100 * joules / total:.1f} %"


def _amount(amount: Amount) -> str:
    return f"{'≥ ' if amount.at_least else ''}{_joules(amount.joules)}"


def _squares(evidence: str) -> str:
    """As many as the evidence is strong: five for a meter, one for a guess."""
    weakness = EVIDENCE.index(evidence)
    return "■" * (len(EVIDENCE) - weakness) + "□" * weakness


# What stands in both


def _headline(account: Bill) -> list[tuple[str, str]]:
    """What one looks for first: (name, text)."""
    total, at_least = account.total, "≥ " if account.total.at_least else ""
    missing = [("not in it", ", ".join(_words(each.term) for each in account.unpriced))] if at_least else []
    chips = f" on {account.chips} chips" if account.chips > 1 else ""
    power = [("power", f"{at_least}{with_prefix(account.power, 'W', 4)}")] if account.time_s else []
    return [
        ("energy", _amount(total)),
        ("low to high", f"{_low_high(total)}{', of what has a price' if at_least else ''}"),
        *missing,
        ("time", f"{with_prefix(account.time_s, 's', 4)}{chips} ({_TIME_FROM[account.time_from]})"),
        *power,
        ("energy-delay product", f"{at_least}{with_prefix(account.energy_delay, 'J s', 4)}"),
    ]


def _sums(account: Bill) -> list[tuple[str, Amount]]:
    parts = {"sensor": account.sensor, "network, dynamic": account.dynamic, "network, static": account.static}
    return [*parts.items(), ("host", account.host), ("total", account.total)]


def _unpriced(account: Bill) -> list[tuple[str, str]]:
    """Each term, with how often and where."""
    rows = []
    for each in account.unpriced:
        places = ", ".join(each.where)
        said = "not known" if each.total is None else f"{shown(each.per_inference, 10)} an inference, in {places}"
        rows.append((_words(each.term), said))
    return rows


def _by_evidence(account: Bill) -> dict[str, float]:
    """Joules that rest on each grade of evidence, the strongest first."""
    sums = dict.fromkeys(EVIDENCE, 0.0)
    for line in account.lines:
        sums[line.price.evidence] += line.joules
    return {evidence: joules for evidence, joules in sums.items() if joules}


def _weakest(account: Bill) -> str:
    weakest = account.weakest_evidence
    if weakest is None:
        return "Nothing was paid, so there is no evidence to judge."
    names = dict.fromkeys(_name(line) for line in account.lines if line.price.evidence == weakest)
    return f"The weakest evidence is {weakest}: {', '.join(names)}."


def _synops(account: Bill) -> str:
    if account.synops_only is None:
        return "Synaptic operations only: they have no price of their own."
    share = _share(account.synops_only.joules, account)
    return f"Synaptic operations only: {_joules(account.synops_only.joules)}, {share} of the total."


def _break_even(twin: BreakEven) -> list[str]:
    """The verdict, and the sum that leads to it."""
    upkeep = f" - {shown(twin.steps, 7)} x {twin.update_pj:.4g} / {shown(twin.fan_in, 7)}" if twin.upkeep_pj else ""
    spikes = (twin.twin_pj - twin.upkeep_pj) / twin.spike_pj
    return [
        f"Against the same network without spikes: {twin.verdict}.",
        f"Break-even: ({twin.mac_pj:.4g} + {twin.twin_memory_pj:.4g} / {twin.reuse:.4g}{upkeep}) pJ / "
        f"({twin.addition_pj:.4g} + {twin.spike_memory_pj:.4g}) pJ = {spikes:.4g} spikes a synapse and inference"
        f"{', fewer than none' if spikes < 0 else ''}: multiply-accumulate and memory"
        f"{', less the updates of neurons,' if upkeep else ''} over addition and memory"
        f"{f'; prices of {twin.source}' if twin.source else ''}.",
    ]


def _twin(counts: Counts) -> str:
    """What a network of the same synapses would do once."""
    effective = counts.twin_effective_macs
    active = "" if effective is None else f", {effective.mean():,.10g} of them with a weight and a value that are not 0"
    return f"The same network without spikes does {counts.twin_macs:,} multiply-accumulates an inference{active}."


def _comparison(account: Bill) -> list[str]:
    twin = [_twin(account.counts)] if isinstance(account.counts, Counts) else []
    return [_synops(account), *twin, *([] if account.break_even is None else _break_even(account.break_even))]


def _provenance(account: Bill) -> str:
    technology = f", {account.prices.technology}" if account.prices.technology else ""
    return (
        f"Prices: {account.prices.name}{technology}. Counted over {account.inferences:,} "
        f"inference{'s' * (account.inferences != 1)}. microsaccade {version('microsaccade')}."
    )


# Text


def text(account: Bill) -> str:
    """The report for a terminal, `WIDTH` columns wide."""
    notes = _Notes()
    table = [line for heading, groups in _parts(account, notes) for line in _text_part(account, heading, groups)]
    head = f"{'':<26}{'an inference':>14}   {'price':<14}   {'energy':>9}  {'low to high':<20}{'share':>8}"
    unpriced = [_wrapped(said, f"  {name:<28}") for name, said in _unpriced(account)]
    sources = [_wrapped(note, f"  [{number}] ") for note, number in notes.texts.items()]
    blocks = [
        [*textwrap.wrap(account.title, WIDTH), *(_wrapped(said, f"  {name:<22}") for name, said in _headline(account))],
        ["Boundary: + is in these numbers, - is not", *_text_boundary(account)],
        ["Count x price = energy", *([head, *table] if table else ["  nothing was counted that has a price"])],
        [_UNPRICED, *unpriced] if unpriced else [],
        ["Sums", *_text_sums(_sums(account), account)],
        ["Dynamic energy by layer", *_text_sums(account.by_layer().items(), account)],
        [_COMPARISON, *(_wrapped(sentence, "  ") for sentence in _comparison(account))],
        ["Evidence", *_text_evidence(account)],
        ["Sources", *sources] if sources else [],
        [_wrapped(_provenance(account), "")],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _wrapped(sentence: str, first: str) -> str:
    indents = {"initial_indent": first, "subsequent_indent": " " * len(first)}
    return textwrap.fill(sentence, WIDTH, break_on_hyphens=False, break_long_words=False, **indents)


def _text_boundary(account: Bill) -> Iterator[str]:
    for mark, sentences in (("+", account.boundary_in), ("-", account.boundary_out)):
        yield from (_wrapped(_plain(sentence), f"  {mark} ") for sentence in sentences)


def _text_part(account: Bill, heading: str, groups: Iterable[_Group]) -> Iterator[str]:
    yield f"  {heading.upper()}"
    for group in groups:
        evidence = f"{_squares(group.price.evidence)} {group.price.evidence}"
        notes = "".join(f"[{note}]" for note in group.notes)
        yield _wrapped(" ".join(filter(None, (evidence, _price_range(group.price), notes))), f"  {group.name}: ")
        for line in group.lines:
            where = f"    {line.where}"
            if len(where) > 25:
                yield where
                where = ""
            yield (
                f"{where:<26}{_count(line):>14} x {_price(line.price):<14} = {_joules(line.joules):>9}  "
                f"{_low_high(line):<20}{_share(line.joules, account):>8}"
            )


def _text_sums(rows: Iterable[tuple[str, Amount]], account: Bill) -> Iterator[str]:
    for name, amount in rows:
        start = f"  {name}"
        if len(start) > 55:
            yield start
            start = ""
        yield f"{start:<55}{_amount(amount):>14}  {_low_high(amount):<20}{_share(amount.joules, account):>8}"


def _text_evidence(account: Bill) -> Iterator[str]:
    for evidence, joules in _by_evidence(account).items():
        name = f"  {_squares(evidence)} {evidence}"
        yield f"{name:<55}{_joules(joules):>14}  {'':<20}{_share(joules, account):>8}"
    yield _wrapped(_weakest(account), "  ")


# HTML


def html(account: Bill) -> str:
    """The report as a piece of a page: no script, nothing fetched, a style of its own on the ground around it."""
    notes = _Notes()
    table = "".join(_html_part(account, heading, groups) for heading, groups in _parts(account, notes))
    unpriced = "".join(f"<li><b>{escape(name)}</b> {escape(said)}</li>" for name, said in _unpriced(account))
    sources = "".join(f"<li>{escape(note)}</li>" for note in notes.texts)
    comparison = "".join(f"<p>{escape(sentence)}</p>" for sentence in _comparison(account))
    return _FRAGMENT.substitute(
        style=_STYLE,
        title=escape(account.title),
        headline=_html_headline(account),
        bar=_html_bar(account),
        inside=_html_list(account.boundary_in),
        outside=_html_list(account.boundary_out),
        table=table or '<tbody><tr><td colspan="8">nothing was counted that has a price</td></tr></tbody>',
        unpriced=f'<div class="gap"><h4>{_UNPRICED}</h4><ul>{unpriced}</ul></div>' if unpriced else "",
        sums=_html_sums(_sums(account), account),
        layers=_html_sums(account.by_layer().items(), account),
        comparison=f"<h4>{_COMPARISON}</h4>{comparison}",
        evidence=_html_evidence(account),
        sources=f"<h4>Sources</h4><ol>{sources}</ol>" if sources else "",
        provenance=escape(_provenance(account)),
    )


def page(account: Bill) -> str:
    """The report as a page of its own: to be mailed, kept beside the paper, and read in ten years."""
    return _PAGE.substitute(title=escape(account.title), body=html(account))


def _html_headline(account: Bill) -> str:
    cells = (f"<div><dt>{name}</dt><dd>{escape(said)}</dd></div>" for name, said in _headline(account))
    return f"<dl>{''.join(cells)}</dl>"


def _html_bar(account: Bill) -> str:
    """The shares of the total as one bar, with what its colours mean."""
    parts = segments(account)
    if not parts:
        return ""
    whole = sum(part.joules for part in parts)
    bar = "".join(
        f'<i style="flex:{100 * part.joules / whole:.3f} 0 0;background:{part.colour}"></i>' for part in parts
    )
    key = "".join(
        f'<span><i style="background:{part.colour}"></i>{part.kind} {escape(_share(part.joules, account))}</span>'
        for part in parts
    )
    gap = '<i class="unknown"></i>' if account.total.at_least else ""
    key += f"<span>{gap}without a price</span>" if gap else ""
    return f'<div class="bar">{bar}{gap}</div><div class="key">{key}</div>'


def _html_list(sentences: Iterable[str]) -> str:
    return "".join(f"<li>{escape(_plain(sentence))}</li>" for sentence in sentences) or "<li>nothing</li>"


def _html_part(account: Bill, heading: str, groups: Iterable[_Group]) -> str:
    rows = [f'<tr class="part"><th colspan="8">{heading}</th></tr>']
    for group in groups:
        spread = _price_range(group.price)
        span = f' rowspan="{len(group.lines)}"'
        notes = "".join(f"<sup>[{note}]</sup>" for note in group.notes)
        name = f"<th{span}>{escape(group.name)}</th>"
        price = f"<td{span}>{_price(group.price)}{f'<small>{spread}</small>' if spread else ''}</td>"
        evidence = f'<td{span} class="evidence">{_html_evidence_mark(group.price.evidence)}{notes}</td>'
        for number, line in enumerate(group.lines):
            first = number == 0
            rows.append(
                f'<tr>{name if first else ""}<td class="where">{escape(line.where)}</td><td>{_count(line)}</td>'
                f"{price if first else ''}<td>{_joules(line.joules)}</td><td>{_low_high(line)}</td>"
                f"<td>{escape(_share(line.joules, account))}</td>{evidence if first else ''}</tr>"
            )
    return f"<tbody>{''.join(rows)}</tbody>"


def _html_evidence_mark(evidence: str) -> str:
    return f'<span class="{evidence}">{_squares(evidence)}</span> {evidence}'


def _html_sums(rows: Iterable[tuple[str, Amount]], account: Bill) -> str:
    return "".join(
        f"<tr><th>{escape(name)}</th><td>{_amount(amount)}</td><td>{_low_high(amount)}</td>"
        f"<td>{escape(_share(amount.joules, account))}</td></tr>"
        for name, amount in rows
    )


def _html_evidence(account: Bill) -> str:
    rows = "".join(
        f'<tr><th class="evidence">{_html_evidence_mark(evidence)}</th><td>{_joules(joules)}</td><td></td>'
        f"<td>{escape(_share(joules, account))}</td></tr>"
        for evidence, joules in _by_evidence(account).items()
    )
    return f'<table class="sums"><tbody>{rows}</tbody></table><p>{escape(_weakest(account))}</p>'


# The doubled class wins over the tables of a notebook. Nothing but data and marks has a colour of its own.
_STYLE = """
.snn-energy { font: 14px/1.45 system-ui, sans-serif; max-width: 1080px; color: inherit; text-align: left;
  --line: color-mix(in srgb, currentColor 18%, transparent);
  --soft: color-mix(in srgb, currentColor 68%, transparent); }
.snn-energy.snn-energy :is(h3, h4, p, ul, ol, dl, dd) { margin: 0; padding: 0; }
.snn-energy.snn-energy h3 { font-size: 1.25em; margin: 0 0 .6em; overflow-wrap: anywhere; }
.snn-energy.snn-energy h4 { font-size: 1em; margin: 1.5em 0 .4em; }
.snn-energy.snn-energy :is(ul, ol) { padding-left: 1.6em; }
.snn-energy.snn-energy li { margin: .1em 0; overflow-wrap: anywhere; }
.snn-energy.snn-energy dl { display: flex; flex-wrap: wrap; gap: .7em 2em; }
.snn-energy.snn-energy dt { float: none; width: auto; color: var(--soft); font-size: .85em; font-weight: 400; }
.snn-energy.snn-energy dd { font-weight: 600; }
.snn-energy.snn-energy dl div:first-child dd { font-size: 1.7em; line-height: 1.1; }
.snn-energy .bar { display: flex; gap: 1px; height: 22px; margin: 1em 0 .5em; border-radius: 3px; overflow: hidden; }
.snn-energy .unknown { flex: 0 0 28px; background: repeating-linear-gradient(135deg, transparent 0 3px,
  currentColor 3px 4px); opacity: .6; }
.snn-energy .key { display: flex; flex-wrap: wrap; gap: .2em 1.3em; font-size: .85em; }
.snn-energy .key i { display: inline-block; width: .8em; height: .8em; margin-right: .4em; border-radius: 2px; }
.snn-energy .two { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(380px, 100%), 1fr));
  gap: 0 2.5em; }
.snn-energy .gap { border: 1px dashed currentColor; border-radius: 6px; padding: .6em 1em; margin-top: 1.2em; }
.snn-energy.snn-energy .gap h4 { margin-top: 0; }
.snn-energy .scroll { overflow-x: auto; }
.snn-energy.snn-energy table { border-collapse: collapse; table-layout: auto; width: 100%; margin: 0; border: 0;
  font-size: .92em; font-variant-numeric: tabular-nums; }
.snn-energy.snn-energy tr:nth-child(n):nth-child(n) { background: none; }
.snn-energy.snn-energy :is(th, td) { text-align: right; vertical-align: top; padding: .28em .7em; font-weight: 400;
  border: 0; border-top: 1px solid var(--line); white-space: nowrap; color: inherit; background: none; }
.snn-energy.snn-energy :is(th, .where, .evidence) { text-align: left; }
.snn-energy.snn-energy th:first-child { padding-left: 0; }
.snn-energy.snn-energy tbody th { white-space: normal; }
.snn-energy.snn-energy thead th { color: var(--soft); border-top: 0; }
.snn-energy.snn-energy thead th.number { text-align: right; }
.snn-energy.snn-energy .part th { font-weight: 600; padding-top: .9em; }
.snn-energy.snn-energy .sums tbody th { overflow-wrap: anywhere; }
.snn-energy.snn-energy .total tr:last-child :is(th, td) { font-weight: 600; }
.snn-energy.snn-energy :is(p, table) + p { margin-top: .5em; }
.snn-energy small { display: block; color: var(--soft); }
.snn-energy.snn-energy .note { color: var(--soft); font-size: .85em; margin-top: 1.2em; }
.snn-energy .metered { color: #1f9d76; } .snn-energy .measured { color: #3d7fd6; }
.snn-energy .simulated { color: #8b6fd0; } .snn-energy .derived { color: #c08a1e; }
.snn-energy .estimated { color: #d9622b; }
"""

_FRAGMENT = Template("""<div class="snn-energy"><style>$style</style>
<h3>$title</h3>
$headline
$bar
<div class="two"><div><h4>In these numbers</h4><ul>$inside</ul></div>
<div><h4>Not in them</h4><ul>$outside</ul></div></div>
<h4>Count &times; price = energy</h4>
<div class="scroll"><table class="terms"><thead><tr><th>term</th><th>where</th><th class="number">an inference</th>
<th class="number">price</th><th class="number">energy</th><th class="number">low to high</th>
<th class="number">share</th><th>evidence, source</th></tr></thead>$table</table></div>
$unpriced
<div class="two"><div><h4>Sums</h4><table class="sums total"><tbody>$sums</tbody></table></div>
<div><h4>Dynamic energy by layer</h4><table class="sums"><tbody>$layers</tbody></table></div></div>
<div class="two"><div>$comparison</div><div><h4>Evidence</h4>$evidence</div></div>
$sources
<p class="note">$provenance</p>
</div>
""")

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; }
body { margin: 0 auto; max-width: 1080px; padding: 2.5rem 1.25rem 4rem; background: #fff; color: #1c2430; }
@media (prefers-color-scheme: dark) { body { background: #11151b; color: #e4e8ee; } }
</style>
</head>
<body>
$body
</body>
</html>
""")
