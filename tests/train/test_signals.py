import os
import signal
import threading
import time

import pytest

from hugraph.train.signals import Stopped, stop_at_safe_moments


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_waits_for_the_next_check_and_carries_its_exit_code(signum, code):
    before = signal.getsignal(signum)
    with pytest.raises(Stopped) as caught, stop_at_safe_moments() as check:
        check()
        os.kill(os.getpid(), signum)
        reached = True
        check()
    assert reached and caught.value.code == code
    assert caught.value.signal_name == signal.Signals(signum).name
    assert signal.getsignal(signum) is before


@pytest.mark.parametrize("code", [130, 143])
def test_a_second_signal_ends_the_process_at_once(code):
    child = os.fork()
    if not child:
        with stop_at_safe_moments():
            os.kill(os.getpid(), code - 128)
            os.kill(os.getpid(), code - 128)
            time.sleep(60)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == code


def test_outside_of_the_main_thread_signals_are_left_alone():
    before, during = signal.getsignal(signal.SIGTERM), []

    def work():
        with stop_at_safe_moments() as check:
            check()
            during.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert during == [before]
