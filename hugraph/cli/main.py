"""The `hugraph` command: runs a verb, and turns errors into messages and exit codes.

The modules of the verbs import torch and what needs it only when they run, so that `--help` and the
completion of a shell do not wait.
"""

import errno
import io
import logging
import os
import select
import sys
import tempfile
import traceback
from typing import TextIO

import click

from hugraph import __version__, process
from hugraph.cli.ablate import ablate
from hugraph.cli.compare import compare
from hugraph.cli.components import components
from hugraph.cli.data import data
from hugraph.cli.doctor import doctor
from hugraph.cli.evaluate import evaluate
from hugraph.cli.explain import explain
from hugraph.cli.figure import figure
from hugraph.cli.fit import fit
from hugraph.cli.intents import intents
from hugraph.cli.new import new
from hugraph.cli.plan import plan
from hugraph.cli.recommend import recommend
from hugraph.cli.report import write_report
from hugraph.cli.reproduce import reproduce
from hugraph.cli.runs import runs
from hugraph.cli.sweep import sweep
from hugraph.cli.terminal import inert, say, silence
from hugraph.cli.validate import validate
from hugraph.errors import HugraphError, ResourceError, SpecError, is_out_of_memory


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="hugraph %(version)s")
@click.option("--debug", is_flag=True, help="Show tracebacks and every log message.")
@click.pass_context
def hugraph(context: click.Context, debug: bool) -> None:
    """Multimedia recommendation with interpretable user intents.

    \b
    hugraph new huign > my.yaml      write a spec
    hugraph validate my.yaml         check it
    hugraph plan --spec my.yaml      see what it will take
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
    several = "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1"
    if several and context.invoked_subcommand != "fit":
        if os.environ.get("LOCAL_RANK", "0") != "0":
            context.exit()  # as if all were well, lest torchrun ends the one that speaks
        raise click.UsageError(
            "torchrun has started several processes, and only fit works in more than one; "
            f"give {context.invoked_subcommand} without torchrun."
        )


VERBS = (
    new,
    validate,
    plan,
    fit,
    evaluate,
    recommend,
    intents,
    explain,
    figure,
    write_report,
    runs,
    compare,
    sweep,
    ablate,
    reproduce,
    components,
    data,
    doctor,
)
for verb in VERBS:
    hugraph.add_command(verb)


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return inert(f"{record.levelname.lower()}: {record.getMessage()}", stream=sys.stderr)


def main(args: list[str] | None = None) -> None:
    """Runs the command line and exits.

    Args:
        args: Without the program's name; `sys.argv` by default.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed, as by `>&-`
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    process.prepare()
    sys.exit(run(sys.argv[1:] if args is None else args))


def run(args: list[str]) -> int:
    """Runs the command line.

    Args:
        args: Without the program's name.

    Returns:
        The exit code.
    """
    debug = "--debug" in args
    streams = sys.stdout, sys.stderr
    try:
        code = hugraph.main(args, prog_name="hugraph", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        message = io.StringIO()
        error.show(message)
        say(message.getvalue().rstrip("\n"), wrap=False)
        return error.exit_code
    except SystemExit:  # of a signal; or click's, which replaces the streams at EPIPE
        if (sys.stdout, sys.stderr) == streams:
            raise
        sys.stdout, sys.stderr = streams
        return _system_failure(BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)), debug)
    except (click.Abort, KeyboardInterrupt):
        say("interrupted")
        return 130
    except HugraphError as error:
        if debug:
            _show_traceback()
        report(error)
        return error.exit_code
    except Exception as error:
        if is_out_of_memory(error):
            return _no_memory(error, debug)
        if isinstance(error, OSError):
            return _system_failure(error, debug)
        return _bug(error, debug)


def report(error: HugraphError) -> None:
    """Writes an error, or each of its problems, to standard error."""
    problems = error.problems if isinstance(error, SpecError) and error.problems else (error,)
    for problem in problems:
        lines = [f"error[{error.exit_code}]: {problem.what}"]
        lines += [f"  at: {problem.at}"] if problem.at else []
        lines += [f"  fix: {problem.fix}"] if problem.fix else []
        say("\n".join(lines))
    if len(problems) > 1:
        say(error.what)


def _system_failure(error: OSError, debug: bool) -> int:
    if error.errno == errno.EPIPE and _is_unread(sys.stdout):
        silence(sys.stdout)  # a verb writes there when its work is done
        return 0
    silence(sys.stdout)
    if debug:
        _show_traceback()
    at = None if error.filename is None else str(error.filename)
    report(ResourceError(str(error.strerror or error).split("\n")[0], at=at))
    return 7


def _is_unread(stream: TextIO) -> bool:
    """Whether it is a pipe whose reader has gone."""
    try:
        watch = select.poll()
        watch.register(stream.fileno(), 0)
    except OSError:  # not a file of the system
        return False
    return any(event & select.POLLERR for _, event in watch.poll(0))


def _no_memory(error: Exception, debug: bool) -> int:
    if debug:
        _show_traceback()
    said = str(error).split("\n")[0]
    report(
        ResourceError(
            f"out of memory: {said}" if said else "out of memory",
            fix="fit with a smaller train.batch_size or smaller dims of the model, or free memory; "
            "finished epochs of a run are kept, and `hugraph fit --resume RUN` goes on",
        )
    )
    return 7


def _show_traceback() -> None:
    say(traceback.format_exc().rstrip("\n"), wrap=False)


def _bug(error: Exception, debug: bool) -> int:
    if debug:
        _show_traceback()
        return 1
    with tempfile.NamedTemporaryFile(
        "w", prefix="hugraph-", suffix=".log", delete=False, encoding="utf-8", errors="replace"
    ) as log:
        traceback.print_exc(file=log)
    what = f"{type(error).__name__}: {error}".split("\n")[0]
    say(
        f"error[1]: a bug in hugraph: {what}\n  at: traceback in {log.name}\n"
        "  fix: report it with this file, or run again with `hugraph --debug`"
    )
    return 1
