"""`hugraph doctor`."""

import importlib
import platform
from dataclasses import asdict, dataclass
from importlib import metadata

import click
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from hugraph.cli.terminal import write_json, write_line, write_table
from hugraph.errors import HugraphError

MODULES = {"dgl": "hugraph.dgl_backend", "pyyaml": "yaml"}


@dataclass(frozen=True)
class Finding:
    """The state of one thing that hugraph needs.

    Attributes:
        name: A package, or a device.
        state: Its version, or what was seen.
        fault: What is wrong with it, if anything is.
        fix: The line that mends it, if it is broken.
    """

    name: str
    state: str
    fault: str | None = None
    fix: str | None = None


@click.command(short_help="Check the installation, and whether a GPU is seen.")
@click.option("--json", "as_json", is_flag=True, help="Write the findings as JSON.")
def doctor(as_json: bool) -> None:
    """Check every package that hugraph needs, and whether torch and DGL see a GPU.

    For everything that is broken, the line that mends it is printed. The exit code is 0 if hugraph
    can run, else 7.
    """
    findings = [_python(), *map(_package, _requirements()), _torch_cuda(), _dgl_cuda()]
    broken = [finding for finding in findings if finding.fault]
    if as_json:
        report = {"healthy": not broken, "findings": [asdict(finding) for finding in findings]}
        write_json(report)
    else:
        write_table(
            ("what", "state", "verdict"),
            [(finding.name, finding.state, finding.fault or "ok") for finding in findings],
        )
        for finding in broken:
            write_line(f"\n{finding.name}: {finding.fault}\n  fix: {finding.fix}")
    if broken:
        raise click.exceptions.Exit(7)


def _python() -> Finding:
    version = platform.python_version()
    if version.startswith(("3.10.", "3.11.")):
        return Finding("python", version)
    return Finding(
        "python",
        version,
        "DGL has working wheels for Python 3.10 and 3.11 only",
        "python3.11 -m venv .venv && .venv/bin/pip install hugraph",
    )


def _requirements() -> list[Requirement]:
    try:
        lines = metadata.requires("hugraph") or []
    except metadata.PackageNotFoundError:  # run from a source tree
        return []
    requirements = map(Requirement, lines)
    return [one for one in requirements if one.marker is None or one.marker.evaluate()]


def _package(requirement: Requirement) -> Finding:
    fix = f"pip install '{requirement}'"
    name = canonicalize_name(requirement.name)
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(name, "missing", "is not installed", fix)
    if not requirement.specifier.contains(version, prereleases=True):
        return Finding(name, version, f"hugraph needs {requirement.specifier}", fix)
    try:
        importlib.import_module(MODULES.get(name, name.replace("-", "_")))
    except HugraphError as error:
        return Finding(name, version, error.what, error.fix)
    except Exception as error:  # a broken package may fail in any way
        what = f"cannot be imported ({type(error).__name__}: {error})".split("\n")[0]
        return Finding(name, version, what, f"pip install --force-reinstall '{requirement}'")
    return Finding(name, version)


def _torch_cuda() -> Finding:
    try:
        import torch

        if not torch.cuda.is_available():
            return Finding("torch on GPU", "no CUDA device: training runs on the CPU")
        return Finding("torch on GPU", torch.cuda.get_device_name())
    except Exception as error:
        return Finding("torch on GPU", f"unknown ({type(error).__name__})")


def _dgl_cuda() -> Finding:
    try:
        import torch

        from hugraph.dgl_backend import dgl

        if not torch.cuda.is_available():
            return Finding("DGL on GPU", "no CUDA device")
        dgl.graph(([0], [0]), num_nodes=1).to("cuda")
        return Finding("DGL on GPU", "sees CUDA")
    except HugraphError:
        return Finding("DGL on GPU", "unknown")
    except Exception:
        return Finding("DGL on GPU", "built for the CPU: on a GPU hugraph computes with torch")
