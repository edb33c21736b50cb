"""HTML built from elements, so that no text reaches a page without being escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

__all__ = ["Children", "Html", "element"]

_VOID = frozenset({"meta", "br"})
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


class Html(str):
    """Markup; any other string is text."""

    __slots__ = ()


Children = str | Iterable["Children"]


def element(name: str, /, *children: Children, **attributes: str | bool) -> Html:
    """Return an element. Strings are escaped, in children and attributes alike; `Html` is taken as it is.

    An attribute that Python reserves is written with an underscore behind it (``class_``), a hyphen as an
    underscore; True gives the bare attribute, False and "" leave it out.
    """
    opening = "".join([name, *(_attribute(*pair) for pair in attributes.items())])
    if name in _VOID:
        return Html(f"<{opening}>")
    return Html(f"<{opening}>{_markup(children)}</{name}>")


def _attribute(name: str, value: str | bool) -> str:
    name = name.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    return f' {name}="{_escape(value)}"' if value else ""


def _markup(children: Children) -> str:
    if isinstance(children, str):
        return children if isinstance(children, Html) else _escape(children)
    return "".join(_markup(child) for child in children)


def _escape(text: str) -> str:
    return html.escape(_NOT_TEXT.sub("\N{REPLACEMENT CHARACTER}", text))
