"""Extract every text, merge it into each language's catalogue, compile: `./dev translations`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from webapp.translations.texts import engine_texts, other_texts

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
LANGUAGES = ("ko",)
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
METHODS = (
    ("webapp", [("**.py", "python")], {}),
    ("templates", [("**.html", "jinja2")], {"**.html": {"trimmed": "true"}}),
)
KEYWORDS = {
    "_": None,
    "gettext": None,
    "lazy_gettext": None,
    "ngettext": (1, 2),
    "lazy_ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
}


def extracted() -> Catalog:
    """Every text that pages can show."""
    catalog = Catalog(project="coin-hts", charset="utf-8")
    for folder, methods, options in METHODS:
        found = extract_from_dir(ROOT / folder, methods, options, keywords=KEYWORDS)
        for name, _line, message, comments, context in sorted(found, key=lambda one: (one[0], one[1])):
            catalog.add(message, None, [(f"{folder}/{name}", None)], auto_comments=comments, context=context)
    for text in engine_texts():
        catalog.add(text, None, [("engine", None)])
    for text in other_texts():
        catalog.add(text, None, [("other", None)])
    return catalog


def merged(language: str) -> Catalog:
    """The language's catalogue with exactly the texts of today; what is new has no translation yet."""
    path = HERE / language / "LC_MESSAGES" / "messages.po"
    known = read_po(path.open("rb"), locale=language) if path.exists() else Catalog(locale=language)
    known.update(extracted(), no_fuzzy_matching=True)
    known.obsolete.clear()
    # The head says nothing that changes by itself, so that the files change only with the texts.
    known.header_comment = f"# Texts of coin-hts: {language}."
    known.project, known.version, known.msgid_bugs_address = "coin-hts", "1", ""
    known.last_translator, known.language_team = "", ""
    known.creation_date = known.revision_date = EPOCH
    known.fuzzy = False
    return known


def untranslated(catalog: Catalog) -> list[str]:
    """Texts without a translation, or with one of another shape."""
    return [str(message.id) for message in catalog if message.id and not _complete(message.string)]


def _complete(text: str | tuple[str, ...]) -> bool:
    return bool(text) and all(text if isinstance(text, tuple) else (text,))


def po_bytes(catalog: Catalog) -> bytes:
    """The catalogue as people edit it."""
    text = BytesIO()
    write_po(text, catalog, width=120, omit_header=False, sort_output=True, include_lineno=False)
    return text.getvalue()


def mo_bytes(catalog: Catalog) -> bytes:
    """The catalogue as the pages read it."""
    compiled = BytesIO()
    write_mo(compiled, catalog)
    return compiled.getvalue()


def main() -> int:
    """Write the catalogues; 1 when a text has no translation."""
    missing = 0
    for language in LANGUAGES:
        folder = HERE / language / "LC_MESSAGES"
        folder.mkdir(parents=True, exist_ok=True)
        catalog = merged(language)
        (folder / "messages.po").write_bytes(po_bytes(catalog))
        (folder / "messages.mo").write_bytes(mo_bytes(catalog))
        without = untranslated(catalog)
        missing += len(without)
        sys.stdout.write(f"{language}: {len(catalog)} texts, {len(without)} without a translation\n")
        for text in without:
            sys.stdout.write(f"  {text!r}\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
