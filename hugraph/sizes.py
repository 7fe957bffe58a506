"""Bytes for people."""

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def in_bytes(size: int) -> str:
    """A number of bytes, to three digits: `1.27 GB`, `25.0 MB`, `64 bytes`."""
    if size < 1000:
        return f"{size} bytes"
    rounded = int(float(f"{size:.2e}"))  # before the unit is chosen: 999,999 bytes are 1.00 MB
    power = min((len(str(rounded)) - 1) // 3, len(_UNITS) - 1)
    number = rounded / 1000**power
    decimals = max(0, 3 - len(str(int(number))))
    return f"{number:,.{decimals}f} {_UNITS[power]}"
