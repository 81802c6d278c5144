"""The page of the viewer and the real node: values of parameters appear, changes arrive, refused values go back."""

from collections.abc import Callable, Iterator

import pytest
import rclpy
from graph import Graph
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter, parameter_value_to_python

pytest.importorskip("viser")

from hand_mesh_ros.ros.tools.viewer_node import ViewerNode

START_S = 60.0
ANSWER_S = 20.0


@pytest.fixture
def graph(make_graph: Callable[[str], Graph]) -> Graph:
    return make_graph("viewer_settings")


@pytest.fixture
def viewer(graph: Graph) -> Iterator[ViewerNode]:
    rclpy.init(args=["--ros-args", "-r", f"__ns:={graph.namespace}", "-p", "port:=18461"])
    viewer = ViewerNode()
    yield viewer
    viewer.close()
    viewer.destroy_node()
    rclpy.shutdown()


def test_the_page_shows_and_sets_the_parameters_of_the_node(graph: Graph, viewer: ViewerNode) -> None:
    executor = SingleThreadedExecutor()
    executor.add_node(viewer)

    def wait_for(is_met, timeout_s: float = ANSWER_S) -> object:
        def turn() -> object:
            executor.spin_once(timeout_sec=0.02)
            return is_met()

        return graph.wait_for(turn, timeout_s)

    def ask(client, request) -> object:
        future = client.call_async(request)
        assert wait_for(future.done)
        return future.result()

    def value_in_node(name: str) -> object:
        return parameter_value_to_python(ask(get, GetParameters.Request(names=[name])).values[0])

    get = graph.node.create_client(GetParameters, "hand_mesh_node/get_parameters")
    put = graph.node.create_client(SetParameters, "hand_mesh_node/set_parameters")
    panel = viewer._viewer._panel
    refusals: list[str] = []
    viewer._viewer.warn = refusals.append

    viewer._change_setting("n_hypotheses", 3)
    assert wait_for(lambda: refusals), "nobody learns that there is no node"
    assert "hand_mesh_node/set_parameters is not available" in refusals.pop()
    assert panel.settings is None

    graph.start("hand_mesh_node", threads=1, n_hypotheses=6, autostart="false")
    assert wait_for(lambda: panel.settings is not None, START_S)
    sliders = panel.settings._sliders
    assert (sliders["n_hypotheses"].value, sliders["joint_steps"].value) == (6, 4)

    viewer._change_setting("n_hypotheses", 3)
    viewer._change_setting("smooth_beta", 10.0)
    assert wait_for(lambda: value_in_node("n_hypotheses") == 3 and value_in_node("smooth_beta") == 10.0)
    assert wait_for(lambda: sliders["n_hypotheses"].value == 3)

    # Another tool changes a value.
    ask(put, SetParameters.Request(parameters=[Parameter("joint_steps", value=9).to_parameter_msg()]))
    assert wait_for(lambda: sliders["joint_steps"].value == 9)

    sliders["user_hand_scale"].value = 0.2
    viewer._change_setting("user_hand_scale", 0.2)
    assert wait_for(lambda: refusals)
    assert "user_hand_scale is 0.2, allowed are 0 for unknown" in refusals.pop()
    assert wait_for(lambda: sliders["user_hand_scale"].value == 0.0), "the slider keeps a value that the node refused"
    executor.remove_node(viewer)
    executor.shutdown()
