"""Formulas in LaTeX, set for the screen (MathML) and for print (Typst's notation), both from one reading.

latex2mathml reads LaTeX; what it does not know stays in its output as a command, which is refused here rather than shown.
"""

from __future__ import annotations

import re
from functools import cache
from xml.etree import ElementTree

from latex2mathml.converter import convert
from latex2mathml.exceptions import NoAvailableTokensError

_NAMES = re.compile(r"(?<![A-Za-z\\])(TV|KL|PI)(?![A-Za-z])")
"""Names of more than one letter that formulas write plainly: not products of variables."""

_ACCENTS = {"~": "tilde", "¯": "overline", "^": "hat", "→": "arrow", "˙": "dot"}
_LIMITS = ("max", "min", "lim", "sup", "inf")


class BadFormula(ValueError):
    """A formula that cannot be set, with the reason."""


@cache
def mathml(latex: str) -> str:
    """Return the formula as one ``<math>`` element.

    Raises
    ------
    BadFormula
        If it holds a command that is not known, or is not LaTeX.
    """
    return ElementTree.tostring(_read(latex), encoding="unicode")


@cache
def typst(latex: str) -> str:
    """Return the formula in Typst's notation, to be read in its math mode.

    Raises
    ------
    BadFormula
        As :func:`mathml`.
    """
    return _typst(_read(latex))


def _read(latex: str) -> ElementTree.Element:
    """Read LaTeX into MathML, without namespaces."""
    source = _NAMES.sub(r"\\mathrm{\1}", latex).replace(r"\arg", r"\mathrm{arg}\,")
    try:
        root = ElementTree.fromstring(re.sub(r' xmlns="[^"]*"', "", convert(source)))
    except (NoAvailableTokensError, ElementTree.ParseError, IndexError, KeyError, ValueError) as error:
        raise BadFormula(f"the formula {latex!r} is not LaTeX that can be read: {type(error).__name__} {error}") from None
    for node in root.iter():
        if "\\" in (node.text or ""):
            raise BadFormula(f"the formula {latex!r} uses {node.text}, which is not known here; write it with a simpler command")
    _join(root)
    for node in root.iter("mo"):
        if node.text in ("|", "‖"):  # bars on either side of something, not operators with room around them
            node.attrib |= {"lspace": "0", "rspace": "0", "stretchy": "false"}
        elif node.text == "~" and node.get("stretchy") is None:
            node.text = "∼"
    return root


def _join(node: ElementTree.Element) -> None:
    """Make one upright word of a row of upright letters, in place."""
    for child in node:
        _join(child)
    upright = [child for child in node if child.tag == "mi" and child.get("mathvariant") == "normal"]
    if node.tag == "mrow" and len(upright) == len(node) > 1:
        word = ElementTree.Element("mi", {"mathvariant": "normal"})
        word.text = "".join(child.text or "" for child in node)
        node[:] = [word]


def _typst(node: ElementTree.Element) -> str:
    text, parts = (node.text or "").strip("\n"), [_typst(child) for child in node]
    match node.tag:
        case "math" | "mrow" | "mstyle" | "mpadded":
            return " ".join(parts)
        case "mi" | "mn" | "mo" if text in _LIMITS:
            return f'op("{text}", limits: #true)'
        case "mi" | "mn" | "mo":
            word = len(text) > 1 and node.tag == "mi"
            return f'op("{text}")' if word else _character(text)
        case "mtext":
            return f'"{text}"'.replace("\xa0", " ")
        case "mspace":
            return f"#h({node.get('width', '0em')})"
        case "mfrac":
            return f"frac({', '.join(parts)})"
        case "msqrt":
            return f"sqrt({' '.join(parts)})"
        case "msub" | "munder":
            return f"attach({parts[0]}, b: {parts[1]})"
        case "msup":
            return f"attach({parts[0]}, t: {parts[1]})"
        case "msubsup" | "munderover":
            return f"attach({parts[0]}, b: {parts[1]}, t: {parts[2]})"
        case "mover":
            mark = (node[1].text or "").strip()
            return f"{_ACCENTS[mark]}({parts[0]})" if mark in _ACCENTS else f"attach({parts[0]}, t: {parts[1]})"
    raise BadFormula(f"a formula uses <{node.tag}>, which cannot be printed yet; write it with a simpler command")


def _character(text: str) -> str:
    """A number, letter or sign; whatever Typst would read otherwise is escaped."""
    if text in ("|", "‖"):
        return f'class("normal", bar.v{".double" if text == "‖" else ""})'
    return text if text.isalnum() or not text.isascii() else "".join(f"\\{sign}" if sign.isascii() else sign for sign in text)
