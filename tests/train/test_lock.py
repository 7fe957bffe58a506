import threading

import pytest

from hugraph.errors import BusyError
from hugraph.train.lock import locked


def test_a_held_lock_is_refused_or_waited_for(tmp_path):
    path, order = tmp_path / "lock", []

    def wait():
        with locked(path, wait=True):
            order.append("waited")

    with locked(path):
        with pytest.raises(BusyError), locked(path):
            pass
        other = threading.Thread(target=wait)
        other.start()
        other.join(timeout=0.1)
        order.append("held")
    other.join(timeout=60)
    assert order == ["held", "waited"]
