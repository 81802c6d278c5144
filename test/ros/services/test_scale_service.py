"""The size of the user's hands by service, of a node in a process of its own: asked for, refused, put to use."""

import math
import signal
from collections.abc import Callable

import numpy as np
import pytest
from graph import Graph, end
from rclpy.client import Client

from hand_mesh_ros.core.hand.model import HandModel, bone_lengths
from hand_mesh_ros.core.place.hand_lengths import HAND_LENGTH
from hand_mesh_ros.msg import Hand, HandArray
from hand_mesh_ros.srv import CalibrateScale

START_S, ANSWER_S = 60.0, 30.0
DEPTH = CalibrateScale.Request.DEPTH

Ask = Callable[..., CalibrateScale.Response]


def asking(graph: Graph) -> tuple[Client, Ask]:
    """The client, and a call that waits for the answer; asked again if an answer is lost in discovery."""
    client = graph.node.create_client(CalibrateScale, "hand_mesh_node/calibrate_scale")

    def ask(**request: object) -> CalibrateScale.Response:
        for _ in range(3):
            assert graph.wait_for(client.service_is_ready, START_S), "no service"
            future = client.call_async(CalibrateScale.Request(**request))
            if graph.wait_for(future.done, ANSWER_S):
                return future.result()
            client.remove_pending_request(future)
        pytest.fail(f"no answer to {request}")

    return client, ask


def hands_of(graph: Graph, source: int) -> list[Hand]:
    """Hands received so far whose size is known in this way."""
    return [hand for message in graph.received["hands"] for hand in message.hands if hand.scale_source == source]


def why(graph: Graph) -> str:
    """What the node says of itself, for a test that waited in vain."""
    said = [f"{status.message} {[(value.key, value.value) for value in status.values]}" for status in graph.statuses()[-1:]]
    sources = [hand.scale_source for message in graph.received["hands"] for hand in message.hands]
    return f"{len(graph.received['hands'])} messages, scale sources {sources[-5:]}; the node: {said}"


def bone_sum(hand: Hand) -> float:
    return float(bone_lengths(np.array(hand.joints).reshape(21, 3)).sum())


def test_some_seconds_of_depth_give_the_size():
    graph = Graph("scale_by_depth")
    try:
        graph.collect("hands", HandArray)
        graph.start("hand_mesh_node", threads=1)
        graph.start("camera_node", source="synthetic", rate_hz=10.0, depth=True)
        assert graph.wait_for(lambda: hands_of(graph, Hand.SCALE_DEPTH), START_S), why(graph)
        _, ask = asking(graph)
        # A busy machine may need longer for enough images.
        for seconds in (2.0, 6.0, 20.0):
            answer = ask(method=DEPTH, seconds=seconds)
            if answer.success:
                break
        assert answer.success, answer.message
        assert answer.images >= 5
        assert 0.0 < answer.scale_rel_std < 0.08
        assert abs(math.log(answer.scale)) < 3 * answer.scale_rel_std, "the synthetic hand is of average size"
    finally:
        graph.close()


def test_a_length_gives_the_size_and_what_makes_no_sense_is_refused(model: HandModel):
    graph = Graph("scale_by_length")
    try:
        graph.collect("hands", HandArray)
        node = graph.start("hand_mesh_node", threads=1)
        graph.start("camera_node", source="synthetic", rate_hz=10.0)
        assert graph.wait_for(lambda: hands_of(graph, Hand.SCALE_PRIOR), START_S), why(graph)
        client, ask = asking(graph)

        assert "method is 9" in ask(method=9).message
        assert "seconds is 0" in ask(method=DEPTH).message
        in_centimetres = ask(method=CalibrateScale.Request.HAND_LENGTH, length=17.0)
        assert not in_centimetres.success
        assert "give metres" in in_centimetres.message
        assert "0 of" in ask(method=DEPTH, seconds=1.0).message
        assert not hands_of(graph, Hand.SCALE_USER)

        answer = ask(method=CalibrateScale.Request.HAND_LENGTH, length=0.16)
        assert answer.success, answer.message
        assert answer.scale == pytest.approx(0.16 / HAND_LENGTH.on_model(model), rel=1e-4)
        assert answer.images == 0
        expected_m = answer.scale * bone_lengths(model.joints_m).sum()

        def has_the_size() -> bool:
            """The smoothing takes some images to follow."""
            return any(bone_sum(hand) == pytest.approx(expected_m, rel=0.01) for hand in hands_of(graph, Hand.SCALE_USER))

        assert graph.wait_for(has_the_size, START_S), [bone_sum(hand) for hand in hands_of(graph, Hand.SCALE_USER)][-5:]
        assert hands_of(graph, Hand.SCALE_USER)[-1].scale_rel_std == pytest.approx(answer.scale_rel_std)

        # A request that takes a minute blocks neither the images nor other requests, nor the end of the node.
        waiting = client.call_async(CalibrateScale.Request(method=DEPTH, seconds=60.0))
        assert "is running" in ask(method=DEPTH, seconds=60.0).message
        graph.received["hands"].clear()
        assert graph.wait_for(lambda: len(graph.received["hands"]) >= 3, START_S), "images are not answered meanwhile"
        assert not waiting.done()
        code, log = end(node, signal.SIGTERM)
        assert code == 0, log
        assert "Traceback" not in log, log
    finally:
        graph.close()
