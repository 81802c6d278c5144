"""Parameters that are set while the node answers images: they take effect, the hand is followed on, the stream does not stop."""

import signal
import time
from collections.abc import Iterator
from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import pytest
from camera import RELIABLE, SIZE, Camera, image_of
from graph import Graph, end
from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import GetParameters, SetParameters, SetParametersAtomically
from rclpy.client import Client
from rclpy.parameter import Parameter, parameter_value_to_python
from visualization_msgs.msg import MarkerArray

from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.msg import Hand, HandArray, HandHypotheses
from hand_mesh_ros.ros import qos
from hand_mesh_ros.ros.parameters import NodeConfig

ANSWER_S = 60.0
LIVE = [item for config in (NodeConfig, PipelineConfig) for item in fields(config) if item.metadata["live"]]
# The graph diffusion is loaded too: what tunes it must do so. No image is too old for a machine that has much else to do.
START = {"threads": 1, "device": "cpu", "image_qos": "reliable", "max_age_ms": 0.0, "fit_enabled": True}
DEFAULTS = {item.name: START.get(item.name, item.default) for item in LIVE}


class Tuner:
    """The parameter services of the node, as `ros2 param` uses them."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._clients = {
            kind: graph.node.create_client(kind, f"hand_mesh_node/{name}")
            for kind, name in (
                (SetParameters, "set_parameters"),
                (SetParametersAtomically, "set_parameters_atomically"),
                (GetParameters, "get_parameters"),
            )
        }
        for client in self._clients.values():
            assert graph.wait_for(client.service_is_ready, ANSWER_S)
            self._ask_until_answered(client)

    def set(self, **values: object) -> list[SetParametersResult]:
        """One by one."""
        return self._ask(SetParameters, parameters=messages(values)).results

    def set_together(self, **values: object) -> SetParametersResult:
        """All or none."""
        return self._ask(SetParametersAtomically, parameters=messages(values)).result

    def get(self, name: str) -> object:
        (value,) = self._ask(GetParameters, names=[name]).values
        return parameter_value_to_python(value)

    def _ask(self, kind: type, **request: object) -> object:
        future = self._clients[kind].call_async(kind.Request(**request))
        assert self._graph.wait_for(future.done, ANSWER_S), f"no answer to {request}"
        return future.result()

    def _ask_until_answered(self, client: Client) -> None:
        """Until both sides know each other answers are lost. An empty request changes nothing."""
        deadline, futures = time.monotonic() + ANSWER_S, []
        while not any(future.done() for future in futures):
            assert time.monotonic() < deadline, f"{client.srv_name} does not answer"
            futures.append(client.call_async(client.srv_type.Request()))
            self._graph.wait_for(lambda: any(future.done() for future in futures), 2.0)


def messages(values: dict[str, object]) -> list:
    return [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]


@pytest.fixture(scope="module")
def running(view: SimpleNamespace) -> Iterator[Graph]:
    """A node at work on a hand."""
    graph = Graph("live")
    graph.collect("hypotheses", HandHypotheses, qos.HYPOTHESES)
    graph.collect("markers", MarkerArray)
    try:
        graph.camera = Camera(graph, SIZE, RELIABLE)
        graph.process = graph.start("hand_mesh_node", **START)
        graph.camera.connect(image_of(view.rgb), view.k)
        graph.tuner = Tuner(graph)
        yield graph
    finally:
        graph.close()


@pytest.fixture
def graph(running: Graph) -> Iterator[Graph]:
    """The same with the parameters as they were."""
    yield running
    assert running.tuner.set_together(**DEFAULTS).successful


def look(graph: Graph, view: SimpleNamespace) -> HandArray:
    """The answer to the next image."""
    answer = graph.camera.ask(image_of(view.rgb), view.k, timeout_s=ANSWER_S)
    assert answer is not None, "the stream has stopped"
    return answer


def has_been_followed(graph: Graph, since: int) -> bool:
    """Whether all answers from an index on are of one hand, but for pauses of a busy machine that begin a new stream."""
    answers = [hands for hands in graph.received["hands"][since:] if hands.hands]
    stamps = [hands.header.stamp.sec + 1e-9 * hands.header.stamp.nanosec for hands in answers]
    pauses = np.diff(stamps) > 2.0
    ids = [hands.hands[0].id for hands in answers]
    return all(one == other or is_pause for one, other, is_pause in zip(ids, ids[1:], pauses))


def hypotheses(graph: Graph, view: SimpleNamespace) -> int:
    """How many hypotheses the hand of the next image has."""
    header = look(graph, view).header
    same = graph.wait_for(lambda: [message for message in graph.received["hypotheses"] if message.header == header], ANSWER_S)
    return same[0].n


def test_another_number_of_hypotheses_comes_with_the_next_image_of_the_same_hand(graph, view):
    since = len(graph.received["hands"])
    assert look(graph, view).hands
    for n in (3, 20, 1):
        (result,) = graph.tuner.set(n_hypotheses=n)
        assert result.successful, result.reason
        assert hypotheses(graph, view) == n
        assert graph.tuner.get("n_hypotheses") == n
    assert has_been_followed(graph, since)


def test_several_are_set_together_or_not_at_all(graph, view):
    assert graph.tuner.set_together(n_hypotheses=5, min_score=0.4, joint_steps=2).successful
    assert hypotheses(graph, view) == 5
    refused = graph.tuner.set_together(n_hypotheses=9, min_score=7.0)
    assert not refused.successful
    assert "min_score" in refused.reason
    assert hypotheses(graph, view) == 5
    assert (graph.tuner.get("n_hypotheses"), graph.tuner.get("min_score")) == (5, 0.4)
    results = graph.tuner.set(n_hypotheses=6, joint_steps=0, mesh_steps=2)
    assert [result.successful for result in results] == [True, False, True]
    assert hypotheses(graph, view) == 6


@pytest.mark.parametrize(
    ("name", "value", "reasons"),
    [
        ("n_hypotheses", 65, ("n_hypotheses", "1", "64")),
        ("n_hypotheses", "many", ("n_hypotheses", "int")),
        ("n_hypotheses", None, ("n_hypotheses", "int")),
        ("min_score", 7.0, ("min_score", "0.05", "1")),
        ("min_score", 7, ("min_score", "0.05", "1")),
        ("min_score", float("nan"), ("min_score", "0.05", "1")),
        ("min_score", True, ("min_score", "float")),
        ("min_score", [0.5, 0.5], ("min_score", "float")),
        ("mirrored_input", 1, ("mirrored_input", "bool")),
        ("user_hand_scale", 0.3, ("user_hand_scale", "0.5", "1.6")),
        ("max_hands", 3, ("max_hands", "read-only")),
        ("seed", 3, ("seed", "read-only")),
        ("image_qos", "sensor_data", ("image_qos", "read-only")),
        ("no_such_parameter", 1, ("undeclared",)),
    ],
)
def test_what_does_not_fit_is_refused_with_what_is_allowed(graph, view, name, value, reasons):
    (result,) = graph.tuner.set(**{name: value})
    assert not result.successful
    assert all(reason in result.reason for reason in reasons), result.reason
    assert look(graph, view).hands


def test_the_size_of_the_hand_is_that_which_was_set_last(graph, view):
    assert look(graph, view).hands[0].scale_source == Hand.SCALE_PRIOR
    assert graph.tuner.set(user_hand_scale=0.8)[0].successful
    assert look(graph, view).hands[0].scale_source == Hand.SCALE_USER
    assert graph.tuner.set(n_hypotheses=4)[0].successful
    assert look(graph, view).hands[0].scale_source == Hand.SCALE_USER
    # Whole numbers serve as floats.
    assert graph.tuner.set(user_hand_scale=0)[0].successful
    assert look(graph, view).hands[0].scale_source == Hand.SCALE_PRIOR


def test_a_score_that_no_hand_has_hides_it(graph, view):
    assert graph.tuner.set_together(min_score=1, predict_ms=0).successful
    assert look(graph, view).hands == []


def test_an_image_that_is_mirrored_from_now_on_gives_the_other_side(graph, view):
    (before,) = look(graph, view).hands
    assert graph.tuner.set(mirrored_input=True)[0].successful
    (after,) = look(graph, view).hands
    assert {before.side, after.side} == {Hand.SIDE_LEFT, Hand.SIDE_RIGHT}
    assert after.id != before.id


def test_images_may_become_too_old_and_markers_may_end(graph, view):
    assert graph.tuner.set(markers_hz=0)[0].successful
    look(graph, view)
    graph.wait_for(lambda: False, 1.0)
    graph.received["markers"].clear()
    look(graph, view)
    graph.wait_for(lambda: False, 0.5)
    assert graph.received["markers"] == []
    assert graph.tuner.set(markers_hz=120)[0].successful

    def has_markers() -> bool:
        look(graph, view)
        return bool(graph.received["markers"])

    assert graph.wait_for(has_markers, ANSWER_S)
    # No image is younger than a thousandth of a millisecond.
    assert graph.tuner.set(max_age_ms=1e-6)[0].successful
    assert graph.camera.ask(image_of(view.rgb), view.k, timeout_s=1.0) is None


@pytest.mark.parametrize("item", LIVE, ids=lambda item: item.name)
def test_both_ends_of_every_range_are_survived(graph, view, item):
    limits = item.metadata["limits"] or (False, True)
    # The work for one image must end within the test: fewer hypotheses for many steps, and no budget but the steps.
    assert graph.tuner.set_together(n_hypotheses=2, joint_steps=2, mesh_steps=1).successful
    for value in map(type(item.default), limits):
        (result,) = graph.tuner.set(**{item.name: value})
        assert result.successful, result.reason
        for hand in look(graph, view).hands:
            assert np.all(np.isfinite(hand.joints))
    assert graph.tuner.set_together(**DEFAULTS).successful
    assert look(graph, view).hands


def test_values_that_change_with_every_image_do_no_harm(graph, view):
    rng = np.random.default_rng(0)
    since = len(graph.received["hands"])
    for _ in range(40):
        assert graph.tuner.set_together(
            n_hypotheses=int(rng.integers(1, 20)),
            joint_steps=int(rng.integers(1, 4)),
            smooth_cutoff_hz=float(rng.choice([0.0, 1.0, 100.0])),
            predict_ms=float(rng.uniform(0, 500)),
            depth_wait_ms=float(rng.uniform(0, 50)),
        ).successful
        assert look(graph, view).hands
    assert has_been_followed(graph, since)


def test_a_signal_after_all_of_it_ends_the_node_cleanly(view):
    graph = Graph("live_end")
    try:
        process = graph.start("hand_mesh_node", **START)
        tuner = Tuner(graph)
        assert tuner.set_together(n_hypotheses=3, markers_hz=0).successful
        code, log = end(process, signal.SIGTERM)
        assert code == 0, log
        assert "Traceback" not in log, log
    finally:
        graph.close()
