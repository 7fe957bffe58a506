"""Bytes for people."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hugraph.sizes import in_bytes

UNITS = {"bytes": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1_000, "1.00 kB"),
        (9_999, "10.0 kB"),
        (999_999, "1.00 MB"),
        (1_234_567, "1.23 MB"),
        (25 * 10**9, "25.0 GB"),
        (10**18, "1,000,000 TB"),
    ],
)
def test_three_digits_and_a_unit(size, text):
    assert in_bytes(size) == text


@given(st.integers(0, 10**20))
def test_what_is_said_is_within_half_a_percent(size):
    number, unit = in_bytes(size).split()
    assert float(number.replace(",", "")) * UNITS[unit] == pytest.approx(size, rel=0.005)
