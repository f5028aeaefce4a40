"""The doctor: every line is true and tells what to do."""

import json

from conftest import ROOT
from host import Host, load_as_comfyui

from talking_head.apps.cli.main import main
from talking_head.lp_core.liveportrait.entries import LIVEPORTRAIT
from talking_head.lp_core.weights import doctor

PACK = load_as_comfyui()


def test_missing_packages_and_weights_come_with_what_to_do(tmp_path, monkeypatch):
    versions = {"torch": "2.9"}
    monkeypatch.setattr(doctor, "_version", versions.get)
    report = "\n".join(doctor.diagnosis([(entry, [tmp_path]) for entry in LIVEPORTRAIT]))
    assert "torch 2.9\nnumpy is missing: pip install -r requirements.txt" in report
    assert "onnxruntime is not installed; it is optional" in report
    assert "video/h264-mp4" in report
    for entry in LIVEPORTRAIT:
        assert f"{entry.name}: missing; talking-head models --download {entry.name} ({entry.licence}" in report


def test_damaged_weights_are_named(tmp_path):
    entry = LIVEPORTRAIT[0]
    file = tmp_path / entry.places[0]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"cut off")
    assert f"{entry.name}: damaged (" in "\n".join(doctor.diagnosis([(entry, [tmp_path])]))


def test_every_required_package_is_looked_at():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    required = {line.split(">=")[0] for line in lines if line and not line.startswith("#")}
    assert set(doctor.PACKAGES) == required - {"huggingface_hub", "tqdm"}


def test_the_node_shows_its_report_as_plain_json(tmp_path):
    with Host(tmp_path, PACK) as host:
        outcome = host.run({"1": {"class_type": "Doctor", "inputs": {}}})
    assert (outcome.status, outcome.errors) == ("success", {})
    (report,) = outcome.values["1"]
    assert json.loads(json.dumps(outcome.shown["1"])) == {"text": [report]}
    assert "joyvasa/motion_generator: missing" in report


def test_the_command_tells_the_same(tmp_path, capsys):
    assert main(["doctor", "--models", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "device: " in shown
    assert "liveportrait/appearance_feature_extractor: missing" in shown
