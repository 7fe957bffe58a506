"""The `hugraph` command: runs a verb, and turns errors into messages and exit codes.

The modules of the verbs import torch and what needs it only when they run, so that `--help` and the
completion of a shell do not wait.
"""

import errno
import logging
import os
import sys
import tempfile
import traceback

import click

from hugraph import __version__
from hugraph.cli.components import components
from hugraph.cli.data import data
from hugraph.cli.doctor import doctor
from hugraph.cli.evaluate import evaluate
from hugraph.cli.fit import fit
from hugraph.cli.new import new
from hugraph.cli.recommend import recommend
from hugraph.cli.runs import runs
from hugraph.cli.terminal import inert, write_line
from hugraph.cli.validate import validate
from hugraph.errors import HugraphError, SpecError

# Idle threads of a parallel loop sleep instead of spinning, which beside another busy process made
# training steps many times slower. Torch reads it once, when a verb loads it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="hugraph %(version)s")
@click.option("--debug", is_flag=True, help="Show tracebacks and every log message.")
def hugraph(debug: bool) -> None:
    """Multimedia recommendation with interpretable user intents.

    \b
    hugraph new huign > my.yaml      write a spec
    hugraph validate my.yaml         check it
    hugraph fit --spec my.yaml       train, validate, test
    hugraph recommend RUN --user ID  see what was learned

    Exit codes: 0 done, 1 a bug, 2 wrong usage, 3 wrong spec, 4 wrong data, 5 wrong run directory,
    6 training diverged, 7 disk, memory or installation, 8 run directory busy, 130 interrupted,
    143 terminated.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Plain())
    logger = logging.getLogger("hugraph")
    logger.handlers = [handler]
    logger.setLevel(logging.DEBUG if debug else logging.WARNING)


for verb in (new, validate, fit, evaluate, recommend, runs, components, data, doctor):
    hugraph.add_command(verb)


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return inert(f"{record.levelname.lower()}: {record.getMessage()}")


def main(args: list[str] | None = None) -> None:
    """Runs the command line and exits.

    Args:
        args: Without the program's name; `sys.argv` by default.
    """
    sys.exit(run(sys.argv[1:] if args is None else args))


def run(args: list[str]) -> int:
    """Runs the command line.

    Args:
        args: Without the program's name.

    Returns:
        The exit code.
    """
    debug = "--debug" in args
    stdout = sys.stdout
    try:
        code = hugraph.main(args, prog_name="hugraph", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except SystemExit:
        if sys.stdout is not stdout:  # click replaces it when the reader, `head` perhaps, has gone
            return 0
        raise
    except (click.Abort, KeyboardInterrupt):
        write_line("interrupted", file=sys.stderr)
        return 130
    except HugraphError as error:
        if debug:
            traceback.print_exc()
        report(error)
        return error.exit_code
    except OSError as error:
        return _system_failure(error, debug)
    except Exception as error:
        return _bug(error, debug)


def report(error: HugraphError) -> None:
    """Writes an error, or each of its problems, to standard error."""
    problems = error.problems if isinstance(error, SpecError) and error.problems else (error,)
    for problem in problems:
        lines = [f"error[{error.exit_code}]: {problem.what}"]
        lines += [f"  at: {problem.at}"] if problem.at else []
        lines += [f"  fix: {problem.fix}"] if problem.fix else []
        write_line("\n".join(lines), file=sys.stderr)
    if len(problems) > 1:
        write_line(error.what, file=sys.stderr)


def _system_failure(error: OSError, debug: bool) -> int:
    if error.errno == errno.EPIPE:
        _silence(sys.stdout)
        return 0
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EIO):
        return _bug(error, debug)
    _silence(sys.stdout)
    at = f"\n  at: {error.filename}" if error.filename else ""
    write_line(f"error[7]: {error.strerror}{at}", file=sys.stderr)
    return 7


def _bug(error: Exception, debug: bool) -> int:
    if debug:
        traceback.print_exc()
        return 1
    with tempfile.NamedTemporaryFile(
        "w", prefix="hugraph-", suffix=".log", delete=False, encoding="utf-8", errors="replace"
    ) as log:
        traceback.print_exc(file=log)
    what = f"{type(error).__name__}: {error}".split("\n")[0]
    write_line(
        f"error[1]: a bug in hugraph: {what}\n  at: traceback in {log.name}\n"
        "  fix: report it with this file, or run again with `hugraph --debug`",
        file=sys.stderr,
    )
    return 1


def _silence(stream: object) -> None:
    """Keeps Python from writing the rest of its buffer when it exits."""
    if stream is sys.__stdout__ and sys.__stdout__ is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())
