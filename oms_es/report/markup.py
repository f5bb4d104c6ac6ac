"""Parts of the page as HTML: every text is escaped here, and nowhere else."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from html import escape
from typing import Any

from oms_es.decimals import text
from oms_es.identifiers import escaped

NO_VALUE = "\u2013"  # a dash


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def html(value: object) -> Html:
    """Return a value as HTML; text is escaped, control and bidirectional characters too."""
    return value if isinstance(value, Html) else Html(escape(escaped(str(value))))


def tag(name: str, *content: object, **attributes: object) -> Html:
    """Return an element; `class_` and `data_x` are the attributes class and data-x, and None leaves one out."""
    named = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None}
    written = "".join(f" {key}" if value is True else f' {key}="{html(value)}"' for key, value in named.items())
    return Html(f"<{name}{written}>{''.join(map(html, content))}</{name}>")


def joined(parts: Iterable[object], between: str = "") -> Html:
    """Return parts one after another."""
    return Html(between.join(map(html, parts)))


def number(value: Decimal | int | None, *, signed: bool = False) -> str:
    """Return an exact number with groups of three digits; with its sign also above 0; a dash where there is none."""
    if value is None:
        return NO_VALUE
    written = text(value) if isinstance(value, Decimal) else str(value)
    sign, digits = ("-", written[1:]) if written.startswith("-") else ("+" if signed and value > 0 else "", written)
    whole, point, fraction = digits.partition(".")
    return f"{sign}{int(whole):,}{point}{fraction}"


def tone(value: Decimal | None) -> str | None:
    """Return the class of a gain or a loss."""
    return None if not value else "gain" if value > 0 else "loss"


def sparkline(values: Sequence[Any], points: int = 64) -> Html:
    """Return a small line of figures over the day; None is left out."""
    known = [float(each) for each in values if each is not None]
    if len(known) < 2:
        return Html("")
    step = max(1, len(known) // points)
    drawn = [*known[::step], known[-1]]
    low, high = min(0.0, *drawn), max(0.0, *drawn)
    span = (high - low) or 1.0
    places = [(n * 96 / (len(drawn) - 1), 22 - (each - low) * 20 / span) for n, each in enumerate(drawn)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    zero = f"{22 - (0 - low) * 20 / span:.1f}"
    return Html(
        f'<svg class="spark {tone(Decimal(repr(known[-1]))) or ""}" viewBox="0 0 96 24" aria-hidden="true">'
        f'<line x1="0" x2="96" y1="{zero}" y2="{zero}"/><polyline points="{line}"/></svg>'
    )
