"""The node from start to end, in processes of their own: with a camera, without one, without models, with wrong parameters."""

import shutil
import signal
from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from graph import Graph, end
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.msg import Hand, HandArray, HandMeshArray

START_S = 30.0


def test_the_camera_node_and_the_node_play_together():
    graph = Graph("camera_and_node")
    try:
        for name, kind in {"hands": HandArray, "meshes": HandMeshArray, "ground_truth": HandArray}.items():
            graph.collect(name, kind)
        camera = graph.start("camera_node", source="synthetic", rate_hz=10.0)
        node = graph.start("hand_mesh_node", threads=1)

        def answered() -> list[tuple[Hand, Hand]]:
            """Hands found and true hands of the images, by stamp and frame, that have a mesh too."""
            truth = {str(message.header): message.hands[0] for message in graph.received["ground_truth"]}
            meshes = {str(message.header) for message in graph.received["meshes"] if message.meshes}
            hands = {str(message.header): message.hands[0] for message in graph.received["hands"] if message.hands}
            return [(hands[header], truth[header]) for header in hands.keys() & truth.keys() & meshes]

        graph.wait_for(lambda: len(answered()) >= 5, START_S)
        pairs = answered()
        assert len(pairs) >= 5
        offsets_px = [np.subtract(hand.keypoints_px, true.keypoints_px).reshape(21, 2) for hand, true in pairs]
        errors_px = np.linalg.norm(offsets_px, axis=-1).mean(-1)
        assert np.median(errors_px) < 0.15 * np.median([max(true.bbox_px) for _, true in pairs])
        assert end(camera, signal.SIGTERM)[0] == 0
        assert end(node, signal.SIGTERM, signal.SIGTERM)[0] == 0
    finally:
        graph.close()


def test_silence_names_the_topic_without_publisher_and_the_publisher_with_another_qos():
    graph = Graph("silence")
    try:
        graph.start("hand_mesh_node", threads=1, image_qos="reliable")

        def reported(needle: str) -> list[DiagnosticStatus]:
            return [status for status in graph.statuses() if needle in status.message]

        found = graph.wait_for(lambda: reported(f"{graph.namespace}/image has no publisher"), START_S)
        assert found, [status.message for status in graph.statuses()]
        assert found[0].level == DiagnosticStatus.ERROR
        graph.node.create_publisher(Image, "image", qos_profile_sensor_data)
        assert graph.wait_for(lambda: reported("offers another RELIABILITY"), 5.0)
    finally:
        graph.close()


def test_missing_models_are_an_error_in_diagnostics_of_a_living_node(tmp_path: Path):
    graph = Graph("no_models")
    try:
        node = graph.start("hand_mesh_node", models_dir=tmp_path)
        statuses = graph.wait_for(lambda: len(graph.statuses()) >= 2 and graph.statuses(), START_S)
        assert statuses, "no diagnostics"
        assert {status.level for status in statuses} == {DiagnosticStatus.ERROR}
        assert all(str(tmp_path) in status.message for status in statuses)
        assert node.poll() is None
        code, log = end(node, signal.SIGTERM)
        assert code == 0
        assert str(tmp_path) in log
        assert "FATAL" in log
    finally:
        graph.close()


def test_a_truncated_model_is_named_and_the_node_stays(tmp_path: Path):
    shutil.copytree(default_models_dir(), tmp_path / "models")
    broken = tmp_path / "models/joint_denoiser.onnx"
    broken.write_bytes(broken.read_bytes()[:1000])
    graph = Graph("truncated")
    try:
        node = graph.start("hand_mesh_node", models_dir=tmp_path / "models")
        statuses = graph.wait_for(graph.statuses, 40.0)
        assert statuses, "no diagnostics"
        assert statuses[0].level == DiagnosticStatus.ERROR
        assert str(broken) in statuses[0].message
        assert "1000 bytes" in statuses[0].message
        assert node.poll() is None
    finally:
        graph.close()


def test_a_parameter_that_does_not_fit_ends_the_node_with_its_name():
    graph = Graph("bad_parameter")
    try:
        node = graph.start("hand_mesh_node", n_hypotheses=1000)
        _, log = node.communicate(timeout=START_S)
        assert node.returncode == 1
        assert "n_hypotheses" in log
    finally:
        graph.close()
