"""The documents say what the code does: manifest table, links, README commands."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "infra/**/*.md",
        "libs/*/README.md",
        "services/*/README.md",
    )
    for path in ROOT.glob(pattern)
)


def test_the_manifest_reference_has_every_field() -> None:
    spec = importlib.util.spec_from_file_location("table", ROOT / "docs/guides/manifest_table.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = (ROOT / "docs/guides/manifest.md").read_text()
    assert module.page(text) == text, "run `python docs/guides/manifest_table.py`"
    assert "`serve.canary.max_latency_ratio`" in text
    assert "`data.sources[].part`" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_between_files_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"", page.read_text()):
        link = (target[0] or target[1]).split("#")[0]
        if link and not link.startswith(("http://", "https://", "mailto:")):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_every_service_and_library_has_a_readme() -> None:
    for folder in (*ROOT.glob("libs/*/"), *ROOT.glob("services/*/")):
        if (folder / "pyproject.toml").exists():
            assert (folder / "README.md").is_file(), folder.name


def test_every_make_target_in_the_readme_exists() -> None:
    targets = re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)", (ROOT / "README.md").read_text()))
    assert {"demo", "test"} <= named <= set(targets)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_headrace_command_in_a_page_exists(page: Path) -> None:
    import typer.main

    from headrace_stack.cli import app

    commands = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined] # a group
    named = set(re.findall(r"(?:`|^    |\$ )headrace ([a-z]+)\b", page.read_text(), re.MULTILINE))
    assert named <= commands, f"{page.name}: no such command"
