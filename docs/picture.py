"""Draws docs/assets/terminal.svg: what `hugraph fit` and `hugraph recommend` write in a terminal.

Run it from the repository's root after a change of the example or of the output; it takes about a
minute:

    python docs/picture.py
"""

import os
import pty
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT = Path(__file__).parents[1]
COLUMNS = 92
COMMANDS = (
    "hugraph fit --spec examples/huign_3level.yaml --run runs/first --quiet 'evaluate.k=[10,20]'",
    "hugraph recommend runs/first --user u0 --k 5",
)


def main() -> None:
    """Runs the commands and saves the picture."""
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: SIM115
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "examples").symlink_to(ROOT / "examples")
        for command in COMMANDS:
            console.print(f"[bold green]$[/] {command}", highlight=False)
            console.print(Text.from_ansi(written_by(command, directory)))
    svg = console.export_svg(title="hugraph", theme=MONOKAI, unique_id="hugraph")
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)  # they would be fetched
    (ROOT / "docs/assets/terminal.svg").write_text(svg, encoding="utf-8")


def written_by(command: str, directory: str) -> str:
    """What a command writes to a terminal of `COLUMNS` columns.

    Raises:
        CalledProcessError: If it fails.
    """
    ours, theirs = pty.openpty()
    environment = os.environ | {"COLUMNS": str(COLUMNS), "LC_ALL": "C.UTF-8", "TERM": "xterm"}
    arguments = [sys.executable, "-m", *shlex.split(command)]
    process = subprocess.Popen(arguments, cwd=directory, env=environment, stdout=theirs)
    os.close(theirs)
    written = b""
    try:
        while block := os.read(ours, 65536):
            written += block
    except OSError:  # so Linux says that the other end is closed
        pass
    os.close(ours)
    if process.wait():
        raise subprocess.CalledProcessError(process.returncode, command)
    return written.decode().replace("\r\n", "\n").strip("\n") + "\n"


if __name__ == "__main__":
    main()
