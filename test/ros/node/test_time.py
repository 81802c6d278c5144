"""Simulated time and bags that begin again: ages are those of the clock of the graph, diagnostics those of the real one."""

from collections.abc import Iterator

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from camera import FRAME_ID, image_of
from diagnostic_msgs.msg import DiagnosticStatus
from graph import Graph
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.msg import HandArray
from hand_mesh_ros.synthetic.camera import SyntheticCamera

SIZE = (320, 240)
START_S = 40.0
# The beginning of simulated time, far from the real one.
NOW_S = 1000.0
MAX_AGE_MS = 500.0


def to_time(seconds: float) -> Time:
    return Time(sec=int(seconds), nanosec=round(seconds % 1 * 1e9))


class SimulatedCamera:
    """Clock and camera of a simulation, and the node that takes part in it."""

    def __init__(self, graph: Graph, rgb: np.ndarray, k: np.ndarray) -> None:
        self.graph, self.now_s = graph, NOW_S
        graph.collect("hands", HandArray)
        reliable = QoSProfile(depth=1)
        self._clock = graph.node.create_publisher(Clock, "/clock", reliable)
        self._image = graph.node.create_publisher(Image, "image", reliable)
        self._info = graph.node.create_publisher(CameraInfo, "camera_info", reliable)
        self._rgb, self._k = rgb, k
        graph.start("hand_mesh_node", threads=1, image_qos="reliable", use_sim_time=True, max_age_ms=MAX_AGE_MS)

    def send(self, age_s: float) -> Header:
        """The time, and an image that was taken `age_s` ago; its header."""
        self._clock.publish(Clock(clock=to_time(self.now_s)))
        header = Header(stamp=to_time(self.now_s - age_s), frame_id=FRAME_ID)
        image = image_of(self._rgb)
        image.header = header
        self._info.publish(CameraInfo(header=header, width=SIZE[0], height=SIZE[1], k=self._k.ravel()))
        self._image.publish(image)
        return header

    def ask(self, age_s: float, timeout_s: float = 15.0) -> HandArray | None:
        """The answer to an image, sent again under the same stamp until the node knows of the time and the camera."""
        self.graph.received["hands"].clear()

        def answer() -> HandArray | None:
            header = self.send(age_s)
            self.graph.wait_for(lambda: False, 0.1)
            of_image = [hands for hands in self.graph.received["hands"] if hands.header == header]
            # Until the first message on /clock arrives, simulated time is zero, and stamps are from another clock.
            return next((hands for hands in of_image if hands.hands and not np.isnan(hands.latency)), None)

        return self.graph.wait_for(answer, timeout_s)


@pytest.fixture(scope="module")
def simulation(model: HandModel) -> Iterator[SimulatedCamera]:
    graph, camera = Graph("time"), SyntheticCamera(model, SIZE)
    try:
        simulation = SimulatedCamera(graph, camera.at(0.0).rgb, camera.camera_matrix)
        assert simulation.ask(0.05, START_S), "no image is answered"
        yield simulation
    finally:
        graph.close()


def statuses_from_now_on(graph: Graph, count: int) -> list[DiagnosticStatus]:
    seen = len(graph.statuses())
    graph.wait_for(lambda: len(graph.statuses()) >= seen + count, 15.0)
    return graph.statuses()[seen:]


def test_the_age_of_a_result_is_by_the_simulated_clock(simulation):
    simulation.now_s += 10.0
    hands = simulation.ask(0.25)
    # The simulation stands still while the node works.
    assert hands
    assert hands.latency == pytest.approx(0.25, abs=1e-3)


def test_an_image_that_is_too_old_by_the_simulated_clock_is_dropped(simulation):
    simulation.now_s += 10.0
    assert simulation.ask(0.05)
    simulation.now_s += 1.0
    sent: list[Header] = []

    def is_named() -> DiagnosticStatus | None:
        sent.append(simulation.send(0.8))
        simulation.graph.wait_for(lambda: False, 0.2)
        return next((status for status in simulation.graph.statuses() if "max_age_ms" in status.message), None)

    status = simulation.graph.wait_for(is_named, 15.0)
    assert status
    assert "800 ms old" in status.message
    assert not [hands for hands in simulation.graph.received["hands"] if hands.header in sent]


def test_diagnostics_come_while_simulated_time_stands_still(simulation):
    assert simulation.ask(0.05)
    statuses = statuses_from_now_on(simulation.graph, 4)
    assert len(statuses) >= 4
    # Nothing is sent any more: that is reported, too.
    assert simulation.graph.wait_for(lambda: [s for s in simulation.graph.statuses()[-2:] if "no image" in s.message], 15.0)
    own = [array for array in simulation.graph.received["/diagnostics"] if array.status[0].name in {s.name for s in statuses}]
    assert own[-1].header.stamp.sec == int(simulation.now_s)


def test_a_simulation_that_begins_again_forgets_the_tracks_and_goes_on(simulation):
    simulation.now_s += 10.0
    first = simulation.ask(0.05)
    simulation.now_s += 0.1
    second = simulation.ask(0.05)
    assert second.hands[0].id == first.hands[0].id
    simulation.now_s = NOW_S
    again = simulation.ask(0.05)
    assert again, "nothing is answered after the jump"
    assert again.hands[0].id != first.hands[0].id
    assert simulation.graph.wait_for(lambda: [s for s in simulation.graph.statuses() if "jumped back" in s.message], 15.0)
    simulation.now_s += 0.1
    assert simulation.ask(0.05).hands[0].id == again.hands[0].id
