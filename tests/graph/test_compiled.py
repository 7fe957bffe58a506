import subprocess
import sys

import numpy as np
import pytest

from hugraph.compiled import compiled


def total(values):
    result = 0
    for value in values:
        result += value
    return result


def test_a_compiled_loop_gives_what_python_gives():
    values = np.arange(9)
    assert compiled("i8(i8[::1])")(total)(values) == total(values) == 36


@pytest.mark.parametrize("fault", [RuntimeError("no locator available"), OSError(28, "full")])
def test_without_a_place_for_the_code_it_is_compiled_anew(fault, monkeypatch):
    import numba

    njit = numba.njit

    def refusing(signature, *, cache=False, **options):
        if cache:
            raise fault
        return njit(signature, **options)

    monkeypatch.setattr(numba, "njit", refusing)
    assert compiled("i8(i8[::1])")(total)(np.arange(9)) == 36


def test_a_fault_of_the_loop_itself_is_not_hidden():
    from numba.core.errors import TypingError

    with pytest.raises(TypingError):
        compiled("i8(i8[::1])")(lambda values: values.nonsense)


def test_a_damaged_file_of_code_is_not_used(tmp_path):
    module = tmp_path / "module.py"
    module.write_text(
        "from hugraph.compiled import compiled\n"
        "@compiled('i8(i8)')\n"
        "def double(x):\n"
        "    return 2 * x\n"
        "print(double(21))\n"
    )
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", "import module"], cwd=tmp_path, capture_output=True, text=True
        )
        assert (done.stdout, done.stderr) == ("42\n", "")
        files = list((tmp_path / "__pycache__").glob("*.nb[ic]"))
        assert len(files) == 2
        for file in files:
            file.write_bytes(b"damaged")
