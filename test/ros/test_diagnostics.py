"""The verdict names all present trouble of the worst level."""

import math
import time

import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from hand_mesh_ros.ros import diagnostics
from hand_mesh_ros.ros.diagnostics import Health


def test_a_working_node_is_ok_and_shows_its_figures():
    health = Health()
    for index in range(1, 101):
        health.image_received()
        health.image_answered(index * 1e-3, {"detect": 4.0})
    health.image_answered(math.nan, {})
    level, message, values = health.summary("silent", {"superseded by newer": 3})
    assert (level, message) == (DiagnosticStatus.OK, "working")
    assert float(values["age of results p50 [ms]"]) == pytest.approx(50.5)
    assert float(values["age of results p95 [ms]"]) == pytest.approx(95, abs=0.2)
    assert values["detect [ms]"] == "4.00"
    assert (values["images"], values["results"], values["superseded by newer"]) == (100, 101, 3)
    assert float(values["images in [Hz]"]) > 0
    assert health.summary("silent", {})[2]["images in [Hz]"] == "0.0"


def test_trouble_is_ranked_and_passes(monkeypatch):
    health = Health()
    health.image_received()
    health.warn("not calibrated")
    assert health.summary("", {})[:2] == (DiagnosticStatus.WARN, "not calibrated")
    health.warn("another frame", "camera_info")
    health.warn("clocks differ by 1 s", "clock")
    health.warn("clocks differ by 2 s", "clock")
    assert health.summary("", {})[:2] == (DiagnosticStatus.WARN, "not calibrated | another frame | clocks differ by 2 s")
    health.refuse("wrong encoding")
    # An error comes first, and hides no warning.
    warnings = "not calibrated | another frame | clocks differ by 2 s"
    assert health.summary("", {})[:2] == (DiagnosticStatus.ERROR, f"wrong encoding | {warnings}")
    health.failure = "no models"
    assert health.summary("", {})[:2] == (DiagnosticStatus.ERROR, "no models")
    health.failure = ""
    later = time.monotonic() + diagnostics.SILENCE_S + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert health.summary("nothing arrives", {})[:2] == (DiagnosticStatus.ERROR, "nothing arrives")
    health.image_received()
    level, message, values = health.summary("", {})
    assert (level, message) == (DiagnosticStatus.OK, "working")
    assert (values["last error"], values["last warning"]) == ("wrong encoding", "clocks differ by 2 s")
