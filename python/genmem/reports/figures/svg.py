"""Matplotlib's SVG without clashes, dates and excess: for a page, or for a file of its own."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from genmem.reports.figures.palette import LIGHT

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
GEOMETRY = ("d", "x", "y", "width", "height", "points", "transform", "viewBox")
FONT = re.compile(r"font:([^;]*?)([\d.]+px)[^;]*(?=;|$)|font-family:[^;]*;?\s*")
LONG = re.compile(r"-?\d+\.\d{3,}(?:e-?\d+)?")
DOT = re.compile(r"M (\S+) (\S+) L \1 \2(?= M|$)")
STANDALONE = (
    "text{font-family:-apple-system,'Segoe UI',Roboto,Arial,system-ui,sans-serif}"
    "*{stroke-linejoin:round}"
)


def tidy(text: str, name: str) -> ElementTree.Element:
    """The drawing as a tree: no metadata, two decimals, only ids in use, all prefixed by `name`."""
    root = ElementTree.fromstring(text)
    _drop(root, {f"{{{SVG}}}metadata", f"{{{SVG}}}style"})
    body = ElementTree.tostring(root, encoding="unicode")
    used = set(re.findall(r"url\(#([^)]+)\)", body)) | set(re.findall(r'href="#([^"]+)"', body))
    for element in root.iter():
        _plain(element, name, used)
    width, height = root.attrib["viewBox"].split()[2:]
    root.set("width", width)
    root.set("height", height)
    return root


def inline(root: ElementTree.Element, label: str) -> str:
    """SVG for the inside of an HTML page: the colours are its variables, the font is its own."""
    attributes = {"class": "plot", "role": "img", "aria-label": label}
    copy = ElementTree.fromstring(ElementTree.tostring(root, encoding="unicode"))
    for element in copy.iter():
        element.tag = element.tag.removeprefix(f"{{{SVG}}}")
    for name, value in attributes.items():
        copy.set(name, value)
    return _themed(ElementTree.tostring(copy, encoding="unicode", short_empty_elements=False))


def standalone(root: ElementTree.Element, label: str) -> str:
    """SVG for a file: light colours, white ground, the label as its title."""
    copy = ElementTree.fromstring(ElementTree.tostring(root, encoding="unicode"))
    copy.set("role", "img")
    title = ElementTree.Element(f"{{{SVG}}}title")
    title.text = label
    style = ElementTree.Element(f"{{{SVG}}}style")
    style.text = STANDALONE
    ground = ElementTree.Element(
        f"{{{SVG}}}rect", {"width": "100%", "height": "100%", "fill": LIGHT["paper"]}
    )
    for place, element in enumerate((title, style, ground)):
        copy.insert(place, element)
    ElementTree.register_namespace("", SVG)
    return ElementTree.tostring(copy, encoding="unicode") + "\n"


def _drop(element: ElementTree.Element, tags: set[str]) -> None:
    for child in list(element):
        if child.tag in tags:
            element.remove(child)
        else:
            _drop(child, tags)


def _plain(element: ElementTree.Element, name: str, used: set[str]) -> None:
    attributes = element.attrib
    if (identity := attributes.pop("id", None)) in used:
        attributes["id"] = f"{name}-{identity}"
    if link := attributes.pop(f"{{{XLINK}}}href", None):
        attributes["href"] = f"#{name}-{link.removeprefix('#')}"
    for key in attributes.keys() & set(GEOMETRY):
        text = LONG.sub(_rounded, " ".join(attributes[key].split()))
        attributes[key] = DOT.sub(r"M\1 \2h0", text).replace("h0 M", "h0M")
    if attributes.get("transform", "").startswith("rotate(-0 "):
        del attributes["transform"]
    if clip := attributes.get("clip-path"):
        attributes["clip-path"] = clip.replace("url(#", f"url(#{name}-")
    if style := attributes.get("style"):
        attributes["style"] = FONT.sub(
            lambda m: f"font-size: {m[2]}" if m[2] else "", style
        ).strip()
    element.text, element.tail = (
        text if text and text.strip() else None for text in (element.text, element.tail)
    )


def _rounded(match: re.Match[str]) -> str:
    return f"{float(match[0]):.2f}".rstrip("0").rstrip(".")


def _themed(text: str) -> str:
    names = {value: name for name, value in LIGHT.items()}
    return re.sub("|".join(names), lambda match: f"var(--{names[match[0]]})", text)
