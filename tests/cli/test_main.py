import errno
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from hugraph.cli import main as main_module
from hugraph.cli.main import hugraph as group
from hugraph.errors import BusyError, DataError, ResourceError, RunError
from tests.assembly.small import write_small_spec


@pytest.fixture
def verb(monkeypatch):
    """Adds a verb that fails in a given way."""

    def add(error):
        def fail():
            raise error

        monkeypatch.setitem(group.commands, "fail", click.Command("fail", callback=fail))

    return add


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DataError("no rows", at="a.csv", fix="add rows"), 4),
        (RunError("no run", at="a.csv", fix="add rows"), 5),
        (ResourceError("no disk", at="a.csv", fix="add rows"), 7),
        (BusyError("busy", at="a.csv", fix="add rows"), 8),
    ],
)
def test_an_error_becomes_a_message_and_its_code(hugraph, verb, error, code):
    verb(error)
    assert hugraph("fail") == (
        code,
        "",
        f"error[{code}]: {error.what}\n  at: a.csv\n  fix: add rows\n",
    )


def test_a_bug_is_one_line_and_a_file_with_the_traceback(hugraph, verb):
    verb(KeyError("secret"))
    code, out, err = hugraph("fail")
    assert (code, out) == (1, "")
    assert err.startswith("error[1]: a bug in hugraph: KeyError: 'secret'\n  at: traceback in ")
    log = Path(err.split("traceback in ")[1].split("\n")[0])
    assert "Traceback" in log.read_text()
    log.unlink()


def test_debug_shows_the_traceback(hugraph, verb):
    verb(KeyError("secret"))
    code, _, err = hugraph("--debug", "fail")
    assert code == 1
    assert "Traceback" in err
    assert "in fail" in err


def test_under_torchrun_only_fit_runs_and_one_process_says_so(hugraph, verb, monkeypatch):
    verb(DataError("it has run"))
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "0")
    code, _, err = hugraph("fail")
    assert code == 2
    assert "only fit works in more than one; give fail without torchrun." in err
    assert "Give either --spec" in hugraph("fit").err
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert hugraph("fail") == (0, "", "")
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert hugraph("fail").code == 4


def test_an_interruption_ends_with_130(hugraph, verb):
    verb(KeyboardInterrupt())
    assert hugraph("fail") == (130, "", "\ninterrupted\n")


def test_a_full_disk_ends_with_7(hugraph, verb):
    verb(OSError(errno.ENOSPC, "No space left on device", "out.csv"))
    assert hugraph("fail") == (7, "", "error[7]: No space left on device\n  at: out.csv\n")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENAMETOOLONG, "File name too long", "x"),
        OSError("no number"),
        BrokenPipeError(errno.EPIPE, "Broken pipe"),  # not of the output
    ],
)
def test_what_the_system_refuses_is_no_bug(hugraph, verb, error):
    verb(error)
    code, out, err = hugraph("fail")
    assert (code, out) == (7, "")
    assert err.startswith(f"error[7]: {error.strerror or error}\n")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("Storage size calculation overflowed with sizes=[9]"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_too_little_memory_is_no_bug_and_says_what_to_lower(hugraph, verb, error):
    verb(error)
    code, out, err = hugraph("fail")
    assert (code, out) == (7, "")
    assert err.startswith("error[7]: out of memory")
    assert "train.batch_size" in err and "--resume" in err


@pytest.mark.parametrize("word", ["valdate", "--helo"])
def test_an_unknown_verb_or_option_names_the_nearest(hugraph, word):
    code, _, err = hugraph(word)
    assert code == 2
    assert {"valdate": "'validate'", "--helo": "--help"}[word] in err


def test_every_verb_has_a_help_worth_reading(hugraph):
    for verb in group.commands:
        code, out, _ = hugraph(verb, "--help")
        assert code == 0
        assert len(out.splitlines()) > 8, verb


def test_the_list_of_verbs_is_not_cut(hugraph):
    for words in ([], ["data"], ["components"]):
        assert "..." not in hugraph(*words, "--help").out.split("Commands:")[1]
    assert "143 terminated" in hugraph("--help").out


@pytest.mark.parametrize(
    ("words", "begun", "completed"),
    [
        (["new"], "hu", ["huign"]),
        (["components", "show"], "intent_", ["intent_pooling"]),
        (["validate"], "my", ["my"]),  # of type `file`: the shell goes on
    ],
)
def test_a_shell_completes_names_and_paths(words, begun, completed):
    found = ShellComplete(group, {}, "hugraph", "_HUGRAPH").get_completions(words, begun)
    assert [one.value for one in found] == completed
    assert {one.type for one in found} == {"file" if words == ["validate"] else "plain"}


def python(*args, **options):
    return subprocess.run(
        [sys.executable, *args], capture_output=True, text=True, timeout=60, **options
    )


def test_help_needs_no_torch():
    code = (
        "import sys\nfrom hugraph.cli.main import run\nassert run(['--help']) == 0\n"
        "assert run(['validate', '--help']) == 0\n"
        "assert not {'torch', 'dgl', 'yaml'} & set(sys.modules)"
    )
    outcome = python("-c", code)
    assert outcome.returncode == 0, outcome.stderr


def test_python_m_hugraph_is_the_command():
    outcome = python("-m", "hugraph", "--version")
    assert outcome.stdout.startswith("hugraph ")


@pytest.mark.parametrize(
    ("args", "module", "code", "said"),
    [
        (["validate", "a.yaml"], "click", -2, ""),  # before there is anything to say it
        (["validate", "small.yaml"], "yaml", 130, "\ninterrupted\n"),
        (["fit", "--spec", "small.yaml"], "yaml", 130, "stopped by SIGINT; the run had not begun"),
        (["plan", "--spec", "small.yaml"], "tensorboard", 130, "stopped by SIGINT; nothing is"),
    ],
)
def test_an_interruption_while_modules_are_loaded_is_one(tmp_path, args, module, code, said):
    """A module is loaded to its end, and then the command stops and leaves nothing behind."""
    write_small_spec(tmp_path)
    (tmp_path / f"{module}.py").write_text(
        "import signal, sys\ntry:\n    signal.raise_signal(signal.SIGINT)\n"
        "except BaseException:\n    raise RecursionError\n"
        f"del sys.path[0], sys.modules[{module!r}]\nimport {module}\n"
    )
    outcome = python("-m", "hugraph", *args, cwd=tmp_path)
    assert outcome.returncode == code
    assert outcome.stderr.startswith(said) and "Traceback" not in outcome.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {
        f"{module}.py",
        "small.yaml",
        "__pycache__",
    }


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_output_ends_with_7_and_no_traceback():
    with open("/dev/full", "w") as full:
        outcome = subprocess.run(
            [sys.executable, "-m", "hugraph", "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert outcome.returncode == 7
    assert outcome.stderr == "error[7]: No space left on device\n"


def test_a_closed_output_is_quiet():
    reader, writer = os.pipe()
    os.close(reader)
    outcome = subprocess.run(
        [sys.executable, "-m", "hugraph", "--help"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)
    assert (outcome.returncode, outcome.stderr) == (0, "")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize(("verb", "code"), [("components", 0), ("nonsense", 2)])
def test_an_output_that_is_not_open_is_no_error(closed, verb, code):
    outcome = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m hugraph {verb} {closed}"], capture_output=True, text=True
    )
    assert outcome.returncode == code
    assert "Traceback" not in outcome.stderr


def test_a_message_that_nobody_reads_changes_no_exit_code():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "hugraph", "nonsense"]
    assert subprocess.run(command, stderr=writer).returncode == 2
    os.close(writer)


def test_main_exits_with_the_code(verb):
    verb(DataError("no rows"))
    with pytest.raises(SystemExit) as caught:
        main_module.main(["fail"])
    assert caught.value.code == 4
