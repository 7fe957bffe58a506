"""Pages whose text stands elsewhere in the repository."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}


def on_files(files: Files, config: Any) -> None:
    """Adds the pages that are files of the repository's root."""
    for name, page in PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=from_inside(text)))


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str | None:
    """Adds every file of `examples/` to the page of that name, and the studies to theirs."""
    folder = {"examples.md": "examples", "paper.md": "examples/paper"}.get(page.file.src_uri)
    return markdown + files(ROOT / folder) if folder else None


def from_inside(text: str) -> str:
    """The text of a page, its links as they are from inside of `docs/`."""
    for name, page in PAGES.items():
        text = text.replace(f"]({name})", f"]({page})")
    text = re.sub(r"\]\(examples/[^)]*\)", "](examples.md)", text)
    return text.replace("](docs/", "](")


def files(folder: Path) -> str:
    """The files of a folder in full, specs first."""
    parts = []
    for path in sorted(folder.glob("*.*"), key=lambda path: (path.suffix != ".yaml", path)):
        language = {".yaml": "yaml", ".py": "python"}[path.suffix]
        parts.append(f"\n\n## {path.name}\n\n```{language}\n{path.read_text().rstrip()}\n```")
    return "".join(parts)
