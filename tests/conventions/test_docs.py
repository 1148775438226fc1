"""The documentation and the product agree: commands, options, addresses, links; each shell block is accounted for."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from storage_core.settings import Settings
from tests import command_page
from tests.doc_pages import BLOCKS, COVERED, PAGES, ROOT, name_of
from webapp import create_app

OTHERS = ("/opt", "/srv", "/var", "/etc", "/mnt", "/tmp", "/path", "/api/v1", "/dev", "/data/kernels", "/home")  # noqa: S108
TEXTS = {name_of(path): path.read_text(encoding="utf-8") for path in PAGES}
COMMAND = re.compile(r"^(?:\$ )?(?:sudo -u coin )?(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?flask (.+)$")


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    return create_app(Settings.from_env({"DATA_DIR": str(tmp_path_factory.mktemp("data"))}))


def test_every_block_is_run_or_says_why_not():
    silent = [block.where for block in BLOCKS if not block.mark and block.page not in COVERED]
    assert silent == [], "write <!-- run --> or <!-- not run: why --> above them"
    unexplained = [block.where for block in BLOCKS if block.mark == "not run"]
    assert unexplained == []
    assert len(BLOCKS) > 60


def test_the_tests_that_run_whole_pages_read_them():
    for page, test in COVERED.items():
        assert f'"{Path(page).name}"' in (ROOT / test).read_text(encoding="utf-8")
        assert any(block.page == page for block in BLOCKS)


def test_every_block_is_sound_shell(tmp_path):
    files = []
    for number, block in enumerate(BLOCKS):
        files.append(tmp_path / f"{number}-{Path(block.page).stem}-{block.line}.sh")
        files[-1].write_text(f"#!/bin/sh\n{block.text}")
        parsed = subprocess.run(["sh", "-n", str(files[-1])], capture_output=True, text=True, check=False)
        assert parsed.returncode == 0, (block.where, parsed.stderr)
    check = [Path(sys.executable).parent / "shellcheck", "--severity=error", *files]
    done = subprocess.run(list(map(str, check)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def documented_commands():
    """Every `flask ...` in a block or between backticks, with its page."""
    for block in BLOCKS:
        for line in block.text.replace("\\\n", " ").splitlines():
            if found := COMMAND.match(line.strip()):
                yield block.page, re.split(r"\s[|>#]|&&", found[1])[0]
    for page, text in TEXTS.items():
        if page != "CHANGELOG.md":
            plain = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
            for found in re.findall(r"`flask ([a-z][^`]*)`", plain):
                yield page, re.split(r"\s[|>]", re.sub(r"\s+", " ", found))[0]


def test_every_command_that_is_named_is_understood(app):
    seen, runner = set(), app.test_cli_runner()
    for page, written in documented_commands():
        words = shlex.split(re.sub(r"[\[\]]|\.\.\.", " ", written))
        if words[0] in ("db", "run", "shell", "routes") or tuple(words) in seen:
            continue
        seen.add(tuple(words))
        result = runner.invoke(args=[*words, "--help"])
        assert result.exit_code == 0, (page, written, result.output)
    assert len(seen) > 50


def test_the_page_of_commands_is_what_the_commands_say():
    assert command_page.PAGE.read_text(encoding="utf-8") == command_page.page(), "run: python -m tests.command_page"


def test_every_command_has_its_place_and_an_example():
    commands = command_page.ours()
    assert sorted({name.split()[0] for name in commands}) == sorted(
        name for names in command_page.KINDS.values() for name in names
    )
    assert [name for name, command in commands.items() if "Example:" not in (command.help or "")] == []


def shape(address: str) -> tuple[str, ...]:
    """An address with a star for each part that varies."""
    path = address.partition("?")[0].partition("#")[0]
    return tuple("*" if part[:1] in ("<", "{") else part for part in path.strip("/").split("/"))


def test_every_address_in_the_docs_exists(app):
    rules = {shape(rule.rule) for rule in app.url_map.iter_rules()}
    named = {
        (page, found)
        for page, text in TEXTS.items()
        for found in re.findall(r"`(?:[A-Z]+ )?(/[a-z][^`\s]*)`", text)
        if not found.startswith(OTHERS)
    }
    assert len(named) > 15
    assert sorted((page, address) for page, address in named if shape(address) not in rules) == []


def anchors(text: str) -> set[str]:
    """The anchors of the headings, as forges make them."""
    plain = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", plain, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_leads_somewhere():
    broken = []
    for page, text in TEXTS.items():
        plain = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", plain):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            path = ((ROOT / page).parent / name).resolve() if name else ROOT / page
            if not path.exists() or (anchor and anchor not in anchors(path.read_text(encoding="utf-8"))):
                broken.append((page, target))
    assert broken == []


def test_every_page_is_in_the_index():
    index = TEXTS["docs/README.md"]
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages <= set(re.findall(r"\]\(([\w-]+\.md)\)", index))


FOREIGN = {"flask", "command not found", "No such command", "database is locked"}


def said_by_us(words: str, sources: str) -> bool:
    """Whether a message or a code is one of ours; what varies in a message (numbers, names, dots) is left out."""
    if re.fullmatch(r"[a-z]+(_[a-z]+)+", words):
        return f'"{words}"' in sources or f"class {words.title().replace('_', '')}(" in sources
    pieces = [piece.strip(" /.") for piece in re.split(r"\d[\d.]*|\.\.\.|[:;]|\bNAME\b", words)]
    return any(len(piece) >= 6 and piece.lower() in sources.lower() for piece in pieces)


def test_every_message_in_the_symptoms_is_one_of_ours():
    text = TEXTS["docs/troubleshooting.md"]
    headings = re.findall(r"^### (.+)$", text, flags=re.MULTILINE)
    assert len(headings) >= 30
    files = [ROOT / "dev", *(path for name in ("webapp", "workers", "storage_core", "engine", "templates") for path in
             sorted((ROOT / name).rglob("*")) if path.suffix in (".py", ".html"))]  # fmt: skip
    sources = re.sub(r'"\s*\n\s*f?"', "", "".join(path.read_text(encoding="utf-8") for path in files))
    quoted = {words for heading in headings for words in re.findall(r"`([^`]+)`", heading)} - FOREIGN
    assert len(quoted) >= 20
    assert sorted(words for words in quoted if not said_by_us(words, sources)) == []
