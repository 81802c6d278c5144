"""The life of the node under a manager: from state to state and back, as often as one likes, with nothing left over."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from camera import RELIABLE, SIZE, Camera, image_of
from diagnostic_msgs.msg import DiagnosticStatus
from graph import Graph, end
from manager import ANSWER_S, Manager

from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.stream.memory import resident_mb
from hand_mesh_ros.msg import Hand
from hand_mesh_ros.srv import CalibrateScale, GenerateHands

TOPICS = ("hands", "meshes", "hypotheses", "joint_cloud", "markers", "topology", "right/wrist", "left/grasp")


def start(graph: Graph, **parameters: object) -> None:
    """A node that waits for its manager."""
    settings = {"threads": 1, "device": "cpu", "image_qos": "reliable", "max_age_ms": 0.0, "autostart": False}
    graph.process = graph.start("hand_mesh_node", **(settings | parameters))
    graph.manager = Manager(graph)
    graph.camera = Camera(graph, SIZE, RELIABLE)


@pytest.fixture(scope="module")
def graph() -> Iterator[Graph]:
    """One node for all tests that leave it alive."""
    graph = Graph("lifecycle")
    try:
        start(graph)
        yield graph
    finally:
        graph.close()


@pytest.fixture(scope="module")
def own_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "models"
    shutil.copytree(default_models_dir(), folder)
    return folder


def told(graph: Graph, needle: str, **values: str) -> DiagnosticStatus | None:
    """The next status whose line holds a text, and which has these values."""
    seen = len(graph.statuses())

    def fits(status: DiagnosticStatus) -> bool:
        stated = {item.key: item.value for item in status.values}
        return needle in status.message and values.items() <= stated.items()

    return graph.wait_for(lambda: next(filter(fits, graph.statuses()[seen:]), None), 15.0)


def has_topics(graph: Graph) -> list[bool]:
    """Which of its topics the node publishes, and whether it subscribes to images."""
    return [*(graph.node.count_publishers(topic) > 0 for topic in TOPICS), graph.node.count_subscribers("image") > 0]


def children(process: object) -> str:
    """Processes that any of its threads has started."""
    return "".join(path.read_text() for path in Path(f"/proc/{process.pid}/task").glob("*/children"))


def test_every_state_is_in_diagnostics_and_only_an_active_node_has_topics(graph):
    manager = graph.manager
    for state, level in (
        ("unconfigured", DiagnosticStatus.WARN),
        ("inactive", DiagnosticStatus.WARN),
        ("active", DiagnosticStatus.ERROR),  # there is no image
        ("inactive", DiagnosticStatus.WARN),
        ("unconfigured", DiagnosticStatus.WARN),
    ):
        manager.bring_to(state)
        status = told(graph, "no image" if state == "active" else f"the node is {state}", lifecycle=state)
        assert status, [status.message for status in graph.statuses()[-3:]]
        assert status.level == level
        expected = [state == "active"] * (len(TOPICS) + 1)
        assert graph.wait_for(lambda: has_topics(graph) == expected, 15.0), (state, has_topics(graph))  # noqa: B023


def test_a_node_answers_whenever_it_is_active_and_says_nothing_when_it_is_not(graph, view):
    ids = []
    for _ in range(3):
        graph.manager.bring_to("active")
        graph.camera.connect(image_of(view.rgb), view.k)
        answer = graph.camera.ask(image_of(view.rgb), view.k)
        ids.append({hand.id for hand in answer.hands})
        graph.manager.bring_to("inactive")
        sent = []
        for _ in range(10):
            sent.append(graph.camera.send(image_of(view.rgb), view.k))
            graph.wait_for(lambda: False, 0.05)
        assert not any(hands.header in sent for hands in graph.camera.hands), "an inactive node has published"
        graph.received["hands"].clear()
    assert len(set.union(*ids)) == sum(map(len, ids)), "an id was given again"


def test_the_memory_of_the_models_is_given_back(graph, view):
    graph.manager.bring_to("active")
    graph.camera.connect(image_of(view.rgb), view.k)
    active_mb = resident_mb(graph.process.pid)
    graph.manager.bring_to("inactive")
    # The weights have about 25 MB. The memory for intermediate results stays for the next activation.
    assert resident_mb(graph.process.pid) < active_mb - 15
    for _ in range(5):
        graph.manager.bring_to("active")
        graph.manager.bring_to("inactive")
    first_mb = resident_mb(graph.process.pid)
    for _ in range(10):
        graph.manager.bring_to("active")
        graph.manager.bring_to("inactive")
    assert resident_mb(graph.process.pid) < first_mb + 10


def test_a_transition_that_cannot_be_is_refused_and_changes_nothing(graph):
    graph.manager.bring_to("unconfigured")
    assert not graph.manager.change("activate")
    assert graph.manager.state() == "unconfigured"
    graph.manager.bring_to("active")
    assert not graph.manager.change("configure")
    assert graph.manager.state() == "active"


def test_a_request_at_work_is_answered_when_the_node_is_deactivated_and_its_process_ends(graph):
    manager = graph.manager
    manager.bring_to("active")
    client = graph.node.create_client(GenerateHands, "hand_mesh_node/generate")

    def ask(n: int, steps: int) -> GenerateHands.Response:
        future = client.call_async(GenerateHands.Request(n=n, steps=steps))
        assert graph.wait_for(future.done, ANSWER_S)
        return future.result()

    # Until both sides know each other answers are lost.
    early = []
    assert graph.wait_for(client.service_is_ready, ANSWER_S)
    while not any(future.done() for future in early):
        early.append(client.call_async(GenerateHands.Request(n=0)))
        graph.wait_for(lambda: any(future.done() for future in early), 2.0)
    assert ask(1, 1).success
    assert children(graph.process)
    waiting = [client.call_async(GenerateHands.Request(n=64, steps=1000)) for _ in range(2)]
    graph.wait_for(lambda: False, 0.5)
    manager.bring_to("inactive")
    assert not children(graph.process)
    for future in waiting:
        assert graph.wait_for(future.done, ANSWER_S), "a request is left without an answer"
        assert "deactivated before the answer" in future.result().message
    assert "not active" in ask(1, 1).message
    manager.bring_to("active")
    assert ask(1, 1).success
    graph.node.destroy_client(client)


def test_a_given_size_outlasts_a_rest_and_is_forgotten_by_cleanup(graph, view):
    manager = graph.manager
    manager.bring_to("active")
    client = graph.node.create_client(CalibrateScale, "hand_mesh_node/calibrate_scale")
    by_length = {"method": CalibrateScale.Request.HAND_LENGTH, "length": 0.16}

    def ask(**request: object) -> CalibrateScale.Response:
        futures = []
        while not any(future.done() for future in futures):
            assert len(futures) < 20, "no answer"
            futures.append(client.call_async(CalibrateScale.Request(**request)))
            graph.wait_for(lambda: any(future.done() for future in futures), 3.0)
        return next(future.result() for future in futures if future.done())

    assert ask(**by_length).success
    watching = client.call_async(CalibrateScale.Request(method=CalibrateScale.Request.DEPTH, seconds=60.0))
    graph.wait_for(lambda: False, 0.5)
    manager.bring_to("inactive")
    assert graph.wait_for(watching.done, ANSWER_S)
    assert "deactivated before the answer" in watching.result().message
    assert "not active" in ask(**by_length).message

    def source() -> int:
        graph.received["hands"].clear()
        graph.camera.connect(image_of(view.rgb), view.k)
        return graph.camera.ask(image_of(view.rgb), view.k).hands[0].scale_source

    manager.bring_to("active")
    assert source() == Hand.SCALE_USER
    manager.bring_to("unconfigured")
    manager.bring_to("active")
    assert source() == Hand.SCALE_PRIOR
    graph.node.destroy_client(client)


def test_a_model_that_is_put_right_can_be_configured(own_models, view):
    graph = Graph("put_right")
    broken = own_models / "joint_denoiser.onnx"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:1000])
    try:
        start(graph, models_dir=own_models)
        assert not graph.manager.change("configure")
        assert graph.manager.state() == "unconfigured"
        status = told(graph, f"{broken} cannot be loaded (1000 bytes)", lifecycle="unconfigured")
        assert status
        assert status.level == DiagnosticStatus.ERROR
        broken.write_bytes(whole)
        graph.manager.bring_to("inactive")
        assert told(graph, "the node is inactive")
        graph.manager.bring_to("active")
        graph.camera.connect(image_of(view.rgb), view.k)

        # The same for an activation: the models are looked for again, and nothing is left of a failure.
        graph.manager.bring_to("inactive")
        broken.unlink()
        assert not graph.manager.change("activate")
        assert graph.manager.state() == "inactive"
        assert told(graph, f"{broken} is missing", lifecycle="inactive")
        assert graph.wait_for(lambda: not any(has_topics(graph)), 15.0)
        broken.write_bytes(whole)
        graph.manager.bring_to("active")
        assert told(graph, "", lifecycle="active")
        code, log = end(graph.process, signal.SIGTERM)
        assert code == 0, log
        assert "ros2 lifecycle set" in log
        assert "Traceback" not in log, log
    finally:
        broken.write_bytes(whole)
        graph.close()


@pytest.mark.parametrize("state", ["unconfigured", "inactive", "active", "deactivated", "finalized"])
def test_a_signal_ends_the_node_cleanly_in_every_state(state):
    graph = Graph(f"signal_{state}")
    try:
        start(graph)
        if state == "deactivated":
            graph.manager.bring_to("active")
            graph.manager.bring_to("inactive")
        elif state == "finalized":
            graph.manager.bring_to("active")
            assert graph.manager.change("shutdown")
            assert graph.manager.state() == "finalized"
            assert told(graph, "the node is finalized", lifecycle="finalized")
            assert graph.wait_for(lambda: not any(has_topics(graph)), 15.0)
        else:
            graph.manager.bring_to(state)
        code, log = end(graph.process, signal.SIGTERM, signal.SIGINT)
        assert code == 0, log
        assert "Traceback" not in log, log
    finally:
        graph.close()


@pytest.mark.parametrize("after_s", [0.3, 0.6, 0.9, 1.3])
def test_a_signal_while_the_node_starts_ends_it_quietly(after_s):
    graph = Graph("signal_at_start")
    try:
        process = graph.start("hand_mesh_node", threads=1)
        graph.wait_for(lambda: False, after_s)
        code, log = end(process, signal.SIGTERM)
        # Before Python handles signals the system ends it.
        assert code in (0, -signal.SIGTERM), log
        assert "Traceback" not in log, log
        assert "FATAL" not in log, log
    finally:
        graph.close()
