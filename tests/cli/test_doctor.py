import json
import sys
from importlib import metadata

import pytest

from hugraph.errors import ResourceError


@pytest.fixture
def findings(hugraph):
    def call():
        code, out, _ = hugraph("doctor", "--json")
        report = json.loads(out)
        assert report["healthy"] == (code == 0)
        assert code in (0, 7)
        return {finding["name"]: finding for finding in report["findings"]}

    return call


def test_a_sound_installation_is_healthy(hugraph, findings):
    found = findings()
    assert found["torch"]["state"] == metadata.version("torch")
    assert not any(finding["fault"] for finding in found.values())
    code, out, _ = hugraph("doctor")
    assert code == 0
    assert "dgl" in out


def test_a_broken_dgl_is_told_with_the_line_that_mends_it(hugraph, findings, monkeypatch):
    monkeypatch.delitem(sys.modules, "hugraph.dgl_backend")
    monkeypatch.setitem(sys.modules, "dgl", None)
    found = findings()
    assert found["dgl"]["fault"].startswith("DGL cannot be imported")
    assert found["dgl"]["fix"].startswith("pip install 'dgl==1.1.3'")
    assert found["DGL on GPU"]["state"] == "unknown"
    code, out, err = hugraph("doctor")
    assert code == 7
    assert "  fix: pip install 'dgl==1.1.3'" in out
    assert "Traceback" not in out + err


def test_a_missing_package_is_told_with_the_line_that_mends_it(findings, monkeypatch):
    monkeypatch.setattr(metadata, "requires", lambda name: ["no-such-package>=2"])
    assert findings()["no-such-package"] == {
        "name": "no-such-package",
        "state": "missing",
        "fault": "is not installed",
        "fix": "pip install 'no-such-package>=2'",
    }


def test_a_version_that_is_too_old_is_told(findings, monkeypatch):
    monkeypatch.setattr(metadata, "requires", lambda name: ["click>=99"])
    found = findings()["click"]
    assert (found["fault"], found["fix"]) == ("hugraph needs >=99", "pip install 'click>=99'")


def test_a_package_that_cannot_be_imported_is_told(findings, monkeypatch):
    monkeypatch.setattr(metadata, "requires", lambda name: ["networkx"])
    monkeypatch.setitem(sys.modules, "networkx", None)
    found = findings()["networkx"]
    assert "cannot be imported (ModuleNotFoundError" in found["fault"]
    assert found["fix"] == "pip install --force-reinstall 'networkx'"


def test_packages_for_development_are_not_asked_for(findings, monkeypatch):
    monkeypatch.setattr(metadata, "requires", lambda name: ["no-such; extra == 'dev'"])
    assert "no-such" not in findings()


def test_another_python_is_told(findings, monkeypatch):
    monkeypatch.setattr("platform.python_version", lambda: "3.12.1")
    assert "3.10 and 3.11 only" in findings()["python"]["fault"]


def test_a_gpu_is_named_and_a_dgl_without_cuda_is_no_fault(findings, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100")
    found = findings()
    assert found["torch on GPU"]["state"] == "NVIDIA H100"
    assert found["DGL on GPU"]["fault"] is None


def test_an_error_of_hugraph_itself_carries_its_own_remedy(findings, monkeypatch):
    def broken(module):
        raise ResourceError("DGL is broken", fix="mend it")

    monkeypatch.setattr("hugraph.cli.doctor.importlib.import_module", broken)
    assert findings()["dgl"]["fix"] == "mend it"
