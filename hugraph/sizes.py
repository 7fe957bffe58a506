"""Bytes for people."""

_UNITS = ("TB", "GB", "MB", "kB")


def in_bytes(size: int) -> str:
    """A number of bytes, to three digits: `1.27 GB`, `25.0 MB`, `64 bytes`."""
    for power, unit in zip(range(len(_UNITS), 0, -1), _UNITS, strict=True):
        if size >= (scale := 1000**power):
            decimals = 3 - len(str(size // scale))
            return f"{size / scale:,.{max(0, decimals)}f} {unit}"
    return f"{size} bytes"
