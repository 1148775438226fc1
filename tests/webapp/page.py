"""Reads an answer as a browser would, and complains about what a browser would forgive."""

import re
from collections import Counter
from urllib.parse import urlsplit

import html5lib
from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

LINKS = {"href": "GET", "src": "GET", "action": None, "hx-get": "GET", "hx-post": "POST", "data-src": "GET"}
REFERENCES = ("for", "aria-labelledby", "aria-describedby")
CONTAINERS = {"<tr": "tbody", "<td": "tr"}
# Targets of fragments that live on the page around them.
AROUND = {"#params", "#market", "#range", "#estimate", "#tabs", "#run", "#new-backtest", "#presets", "#backtest"}


def rejoin(root) -> None:
    """Words without the places where a narrow column may break them: <wbr> is no space."""
    for parent in list(root.iter()):
        before = None
        for child in list(parent):
            if child.tag != "wbr":
                before = child
                continue
            if before is None:
                parent.text = (parent.text or "") + (child.tail or "")
            else:
                before.tail = (before.tail or "") + (child.tail or "")
            parent.remove(child)


class Page:
    """The elements of a page or a fragment."""

    def __init__(self, html: str) -> None:
        self.html = html
        self.whole = html.lstrip().lower().startswith("<!doctype")
        parser = html5lib.HTMLParser(namespaceHTMLElements=False)
        if self.whole:
            self.root = parser.parse(html)
        else:
            start = re.sub(r"{#.*?#}", "", html.lstrip())[:3]
            self.root = parser.parseFragment(html, container=CONTAINERS.get(start, "div"))
        self.parse_errors = [code for _, code, _ in parser.errors]
        rejoin(self.root)
        self.elements = [element for element in self.root.iter() if isinstance(element.tag, str)]

    @property
    def text(self) -> str:
        """What a person reads, without the spaces of the source."""
        return re.sub(r"\s+", " ", " ".join(self.root.itertext())).strip()

    def find(self, tag: str, **attributes: str) -> list:
        """Elements with this tag and these attributes (`class_` and `hx_get` stand for class and hx-get)."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        return [
            element
            for element in self.elements
            if element.tag == tag and all(element.get(name) == value for name, value in wanted.items())
        ]

    def by_id(self, id_: str):
        """The element with this id, or None."""
        return next((element for element in self.elements if element.get("id") == id_), None)

    def error_of(self, id_: str) -> str:
        """The sentence beside a field."""
        found = self.by_id(f"{id_}-error")
        return "" if found is None else "".join(found.itertext())


def check(page: Page, app: Flask) -> None:
    """Well formed, ids once, every address and target exists, nothing inline, nothing unrendered."""
    assert not page.parse_errors, page.parse_errors
    assert "{{" not in page.html
    assert "{%" not in page.html
    assert not re.search(r"\b(nan|inf|None|Undefined)\b", page.text), page.text
    ids = Counter(element.get("id") for element in page.elements if element.get("id"))
    assert not [name for name, count in ids.items() if count > 1]
    for element in page.elements:
        _check_inline(element)
        _check_links(element, app)
        _check_references(element, set(ids), page.whole)


def _check_inline(element) -> None:
    assert element.tag != "style"
    assert element.tag != "script" or element.get("src")
    assert not [name for name in element.attrib if name.startswith("on") or name == "style"], element.attrib
    assert not (element.get("href") or "").lower().startswith("javascript:")


def _check_links(element, app: Flask) -> None:
    for name, usual in LINKS.items():
        address = element.get(name)
        if not address or address.startswith(("#", "https://")):
            continue
        assert address.startswith("/"), address
        method = usual or element.get("method", "get").upper()
        try:
            app.url_map.bind("localhost").match(urlsplit(address).path, method=method)
        except HTTPException as error:
            raise AssertionError(f"{element.tag} {name}={address}: {error}") from error


def _check_references(element, ids: set[str], whole: bool) -> None:
    has_verb = any(name in element.attrib for name in ("hx-get", "hx-post"))
    assert not has_verb or "hx-target" in element.attrib, element.attrib
    for name in ("hx-target", "hx-include", "hx-disabled-elt"):
        target = element.get(name)
        if target and target != "this":
            assert target[1:] in ids or (not whole and target in AROUND), (name, target)
    if whole:
        for name in REFERENCES:
            for reference in (element.get(name) or "").split():
                assert reference in ids, (name, reference)


def read(response: TestResponse, app: Flask) -> Page:
    """The page of an answer, checked when it is HTML."""
    html = response.get_data(as_text=True)
    page = Page(html)
    check(page, app)
    return page
