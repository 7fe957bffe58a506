"""A terminal of 80 columns to run commands on."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios


def on_a_terminal(*args, columns=80):
    """Runs `hugraph` there; gives its exit code and what is shown, control sequences taken off."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    unwanted = ("COLUMNS", "LINES", "NO_COLOR", "LANG")
    env = {key: value for key, value in os.environ.items() if key not in unwanted}
    process = subprocess.Popen(
        [sys.executable, "-m", "hugraph", *args],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=env | {"LC_ALL": "C.UTF-8", "TERM": "xterm"},
    )
    os.close(theirs)
    shown = b""
    while piece := _read(ours):
        shown += piece
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    return process.wait(timeout=60), text.replace("\r\n", "\n").replace("\r", "\n")


def _read(terminal):
    try:
        return os.read(terminal, 65536)
    except OSError:  # what Linux says when the last writer has gone
        return b""
