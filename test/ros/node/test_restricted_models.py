"""The node says at its start that a model file is not free for commercial use."""

import json
import shutil
import signal
from pathlib import Path

import onnx
import pytest
from camera import Camera, image_of
from graph import Graph, end
from manager import Manager
from rclpy.qos import QoSProfile

from hand_mesh_ros.core.cascade.joint_stage import DENOISER_FILE
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.models.model_id import cascade_id
from hand_mesh_ros.core.models.onnx_model import METADATA_PREFIX, cpu_copy, default_models_dir
from hand_mesh_ros.core.uncertainty.calibration import FILE_NAME as CALIBRATION_FILE
from hand_mesh_ros.msg import MeshTopology
from hand_mesh_ros.ros import qos
from hand_mesh_ros.synthetic.camera import SyntheticCamera

LICENCE = "non-commercial (dataset)"
SIZE = (320, 240)


@pytest.fixture
def marked_models(tmp_path: Path) -> Path:
    """The shipped models with the mark in one file, and the calibration of these models."""
    folder = tmp_path / "models"
    shutil.copytree(default_models_dir(), folder)
    model = onnx.load(str(folder / DENOISER_FILE))
    entry = model.metadata_props.add()
    entry.key, entry.value = f"{METADATA_PREFIX}licence", LICENCE
    onnx.save(model, str(folder / DENOISER_FILE))
    cpu_copy(folder / DENOISER_FILE).unlink()
    calibration = json.loads((folder / CALIBRATION_FILE).read_text())
    (folder / CALIBRATION_FILE).write_text(json.dumps({**calibration, "models": cascade_id(folder)}))
    return folder


def licences(graph: Graph) -> list[str]:
    """What the diagnostics say of the licence."""
    return [item.value for status in graph.statuses() for item in status.values if item.key == "licence"]


def test_the_log_the_diagnostics_and_the_topology_name_the_restricted_file(marked_models: Path, model: HandModel) -> None:
    graph = Graph("restricted")
    try:
        settings = {"threads": 1, "device": "cpu", "image_qos": "reliable", "max_age_ms": 0.0, "autostart": False}
        process = graph.start("hand_mesh_node", models_dir=marked_models, **settings)
        graph.collect("topology", MeshTopology, qos.LATCHED)
        Manager(graph).bring_to("active")
        camera = SyntheticCamera(model, SIZE)
        Camera(graph, SIZE, QoSProfile(depth=1)).connect(image_of(camera.at(0.0).rgb), camera.camera_matrix)
        expected = f"{DENOISER_FILE} is {LICENCE}"
        assert graph.wait_for(lambda: any(expected in message.licence for message in graph.received["topology"]), 15.0)
        assert graph.wait_for(lambda: any(expected in licence for licence in licences(graph)), 15.0)
        _, log = end(process, signal.SIGTERM)
        assert f"no commercial use of these models: {expected}" in log
    finally:
        graph.close()
