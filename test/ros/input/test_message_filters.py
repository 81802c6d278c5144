"""message_filters of a full ROS installation: it synchronises our outputs, and our own pairing of depth pairs what it pairs."""

from types import SimpleNamespace

import numpy as np
import pytest
from camera import Camera, image_of
from graph import Graph
from sensor_msgs.msg import Image

from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.stream.intake import Intake
from hand_mesh_ros.msg import HandArray, HandMeshArray
from hand_mesh_ros.ros import qos
from hand_mesh_ros.ros.stamp import stamp_ns
from hand_mesh_ros.synthetic.camera import SyntheticCamera

message_filters = pytest.importorskip("message_filters", reason="message_filters comes with a full ROS installation only")

SIZE = (320, 240)
PERIOD_NS, SLOP_S = 33_333_333, 0.010
START_NS = 1_000_000_000_000


def stamped(nanoseconds: int) -> Image:
    image = Image()
    image.header.stamp.sec, image.header.stamp.nanosec = divmod(nanoseconds, 1_000_000_000)
    return image


@pytest.mark.parametrize("kind", ["TimeSynchronizer", "ApproximateTimeSynchronizer"])
def test_hands_and_meshes_of_an_image_are_synchronised(model: HandModel, kind: str):
    graph, synthetic = Graph(f"synchronised_{kind.lower()}"), SyntheticCamera(model, SIZE)
    together: list[tuple[HandArray, HandMeshArray]] = []
    try:
        inputs = [
            message_filters.Subscriber(graph.node, message, topic, qos_profile=qos.RESULT)
            for topic, message in (("hands", HandArray), ("meshes", HandMeshArray))
        ]
        more = () if kind == "TimeSynchronizer" else (SLOP_S,)
        synchroniser = getattr(message_filters, kind)(inputs, 5, *more)
        synchroniser.registerCallback(lambda *messages: together.append(messages))
        camera = Camera(graph, SIZE)
        graph.start("hand_mesh_node", threads=1)
        image = image_of(synthetic.at(0.0).rgb)
        camera.connect(image, synthetic.camera_matrix)

        def arrived() -> bool:
            camera.ask(image, synthetic.camera_matrix)
            return len(together) >= 3

        assert graph.wait_for(arrived, 20.0), "nothing was synchronised"
        for hands, meshes in together:
            assert hands.header == meshes.header
            assert [hand.id for hand in hands.hands] == [mesh.id for mesh in meshes.meshes]
    finally:
        graph.close()


@pytest.mark.parametrize("seed", range(5))
def test_the_pairs_of_image_and_depth_are_those_of_approximate_time(seed: int):
    rng = np.random.default_rng(seed)
    intake: Intake[Image] = Intake(depth_slop_s=SLOP_S, depth_wait_s=60.0)
    filters = [message_filters.SimpleFilter() for _ in ("image", "depth")]
    theirs: list[tuple[int, int]] = []
    # A queue as long as the run: it drops the smallest stamp, not the oldest message.
    synchroniser = message_filters.ApproximateTimeSynchronizer(filters, 100, SLOP_S)
    synchroniser.registerCallback(lambda image, depth: theirs.append((stamp_ns(image.header), stamp_ns(depth.header))))
    ours: list[tuple[int, int]] = []
    for message in arrivals(rng):
        (intake.put_depth if message.is_depth else intake.put_image)(message.image, stamp_ns(message.image.header))
        filters[message.is_depth].signalMessage(message.image)
        taken = intake.take(0)
        if taken is not None and taken[1] is not None:
            ours.append((stamp_ns(taken[0].header), stamp_ns(taken[1].header)))
    assert len(ours) > 30
    # The images before the first depth did not wait for any: two of them at most, since depth is late by two periods at most.
    assert ours == theirs[-len(ours) :]
    assert len(theirs) - len(ours) <= 2


def arrivals(rng: np.random.Generator) -> list[SimpleNamespace]:
    """Images and their depth, which comes up to 40 ms later and is missing at times, in the order of arrival."""
    messages, late_ns = [], int(rng.integers(1_000_000, 40_000_000))
    for number in range(50):
        image_ns = START_NS + number * PERIOD_NS + int(rng.integers(-1_000_000, 1_000_000))
        messages.append(SimpleNamespace(image=stamped(image_ns), is_depth=False, arrival_ns=image_ns))
        if rng.uniform() < 0.9:
            depth_ns = image_ns + int(rng.integers(-4_000_000, 4_000_000))
            arrival_ns = depth_ns + late_ns
            messages.append(SimpleNamespace(image=stamped(depth_ns), is_depth=True, arrival_ns=arrival_ns))
    return sorted(messages, key=lambda message: message.arrival_ns)
