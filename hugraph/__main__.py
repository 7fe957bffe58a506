"""`python -m hugraph`, the same as `hugraph`."""

import signal


def main() -> None:
    """Runs the command line and exits; Ctrl-C ends it also while its modules are loaded."""
    heeded = signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
    if heeded:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from hugraph.cli.main import main as run
    from hugraph.cli.stopping import interrupt, once_loaded

    if heeded:
        signal.signal(signal.SIGINT, once_loaded(interrupt))
    run()


if __name__ == "__main__":
    main()
