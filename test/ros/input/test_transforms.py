"""Transforms as a node gets them: over real DDS, waited for, and where there is no TF; the type of its message."""

import os
import time
from collections.abc import Callable

import numpy as np
import pytest
from graph import Graph
from tf_messages import SECOND, motion, stamped

from hand_mesh_ros.core.stream.transform_buffer import TransformError
from hand_mesh_ros.ros import qos
from hand_mesh_ros.ros.endpoints import Endpoints
from hand_mesh_ros.ros.input import transforms

pytest.importorskip("tf2_msgs", reason="make setup builds it")
from tf2_msgs.msg import TFMessage

T0 = 1_700_000_000 * SECOND


def test_waiting_ends_when_the_transform_comes_or_patience_is_over():
    class Late:
        """A buffer whose transform comes at the third question."""

        asked = 0

        def lookup(self, target: str, source: str, stamp_ns: int) -> np.ndarray:
            self.asked += 1
            if self.asked < 3:
                raise TransformError("not yet")
            return np.eye(4)

    assert np.array_equal(transforms.wait_for(Late(), "base", "arm", T0, patience_s=30.0), np.eye(4))
    late = Late()
    with pytest.raises(TransformError, match="not yet"):
        transforms.wait_for(late, "base", "arm", T0, patience_s=0.0)
    assert late.asked == 1


def is_known(seam: transforms.Transforms, *question: object) -> Callable[[], bool]:
    """Whether a lookup has an answer by now."""

    def answer() -> bool:
        try:
            return seam.lookup(*question) is not None
        except TransformError:
            return False

    return answer


@pytest.mark.parametrize("kind", [transforms.OwnTransforms, *([transforms.Tf2Transforms] if transforms.tf2_ros else [])])
def test_transforms_come_over_dds_also_static_ones_sent_before(kind):
    graph = Graph("transforms")
    base, arm, camera = (f"{name}_{os.getpid()}" for name in ("base", "arm", "camera"))
    moving = graph.node.create_publisher(TFMessage, "/tf", qos.TF)
    static = graph.node.create_publisher(TFMessage, "/tf_static", qos.TF_STATIC)
    static.publish(TFMessage(transforms=[stamped(arm, camera, motion([0, 0, 0.5]), T0)]))
    endpoints = Endpoints(graph.node)
    seam = kind(endpoints)
    try:
        # The sample that is not finite must not cost the others.
        broken = stamped(arm, "broken", motion([np.nan, 0, 0]), T0)
        pair = [stamped(base, arm, motion([x, 0, 0], x), T0 + x * SECOND) for x in (0, 2)]
        deadline = time.monotonic() + 30
        while not graph.wait_for(is_known(seam, base, camera, T0 + SECOND), 0.2):
            assert time.monotonic() < deadline
            moving.publish(TFMessage(transforms=[broken, *pair]))
        expected = motion([1, 0, 0], 1.0) @ motion([0, 0, 0.5])
        np.testing.assert_allclose(seam.lookup(base, camera, T0 + SECOND), expected, atol=1e-9)
        seam.clear()
        with pytest.raises(TransformError):
            seam.lookup(base, camera, T0 + SECOND)
    finally:
        endpoints.destroy()
        graph.close()


def test_without_tf2_msgs_every_answer_says_so(monkeypatch):
    monkeypatch.setattr(transforms, "TFMessage", None)
    started = time.monotonic()
    seam = transforms.listen(None)
    with pytest.raises(TransformError, match="tf2_msgs is not installed"):
        transforms.wait_for(seam, "base", "camera", T0, patience_s=0.01)
    assert time.monotonic() - started < 5
    seam.clear()


def test_the_built_message_has_the_type_of_every_ros_installation():
    """A hash of its own would keep /tf of other nodes from being understood."""
    typesys = pytest.importorskip("rosbags.typesys", reason="knows the types of all ROS distributions")
    graph = Graph("type_hash")
    try:
        graph.node.create_publisher(TFMessage, "/tf", qos.TF)
        infos = graph.wait_for(lambda: graph.node.get_publishers_info_by_topic("/tf"))
        if not hasattr(infos[0], "topic_type_hash"):
            pytest.skip("types have no hashes in this ROS distribution")
        expected = typesys.get_typestore(typesys.Stores.LATEST).hash_rihs01("tf2_msgs/msg/TFMessage")
        assert str(infos[0].topic_type_hash) == expected
    finally:
        graph.close()
