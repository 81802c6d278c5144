"""The doctor beside real publishers: a healthy camera has no findings, each fault is named with its cure."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from camera import image_of
from graph import ROOT, Graph
from rclpy.duration import Duration
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

SIZE = (64, 48)
K = [60.0, 0, 31.5, 0, 60.0, 23.5, 0, 0, 1]
PERIOD_S = 0.1
AT_ONCE = 2
SECONDS = 5  # part of this time passes until the topics are discovered
COMMAND = (sys.executable, "-m", "hand_mesh_ros.ros.tools.doctor")


@pytest.fixture
def graph(make_graph: Callable[[str], Graph]) -> Graph:
    return make_graph("doctor")


class Driver:
    """A camera driver with one fault, if any."""

    def __init__(self, graph: Graph, **fault: object) -> None:
        self._graph, self._fault = graph, SimpleNamespace(**({"qos": QoSProfile(depth=5), "kind": Image} | fault))
        node, self._number = graph.node, 0
        self._image = node.create_publisher(self._fault.kind, "image", self._fault.qos)
        self._info = node.create_publisher(CameraInfo, "camera_info", 5)
        self._depth = node.create_publisher(Image, "depth", 5)
        self._second = node.create_publisher(Image, "image", 5) if fault.get("twice") else None

    def send(self) -> None:
        """One set of messages."""
        fault, clock = self._fault, self._graph.node.get_clock()
        now = clock.now() + Duration(seconds=getattr(fault, "ahead_s", 0.0))
        stamp = getattr(fault, "stamp", now.to_msg())
        header = Header(stamp=stamp, frame_id="optical")
        info = CameraInfo(header=header, width=SIZE[0], height=SIZE[1], k=K, distortion_model="plumb_bob", d=[0.0] * 5)
        for name, value in getattr(fault, "info", {}).items():
            setattr(info, name, value)
        height, width = getattr(fault, "depth_shape", SIZE[::-1])
        distances_m = np.tile(np.linspace(0.4, 2.5, width, dtype=np.float32), (height, 1))
        depth = image_of(*getattr(fault, "depth_values", lambda distances_m: (distances_m, "32FC1"))(distances_m))
        depth.header = Header(stamp=stamp, frame_id=getattr(fault, "depth_frame", "optical"))
        if apart_s := getattr(fault, "depth_apart_s", 0.0):
            depth.header.stamp = (now + Duration(seconds=apart_s)).to_msg()
        self._info.publish(info)
        if self._number % getattr(fault, "depth_every", 1) == 0:
            self._depth.publish(depth)
        self._number += 1
        if fault.kind is Image:
            image = image_of(np.full((*SIZE[::-1], 3), 90, np.uint8))
            image.header, image.encoding = header, getattr(fault, "encoding", "rgb8")
            self._image.publish(image)
        else:
            self._image.publish(CompressedImage(header=header, format="jpeg", data=b"\xff\xd8"))


def examine(graph: Graph, driver: Driver | None, *arguments: str, remap: bool = False) -> tuple[int, list[dict], dict]:
    """Exit code, findings and facts of the doctor while the driver works."""
    topics = {name: f"{graph.namespace}/{name}" for name in ("image", "camera_info", "depth")}
    words = [*arguments, "--seconds", str(SECONDS), "--json"]
    if remap:
        words += ["--ros-args", *(word for name, topic in topics.items() for word in ("-r", f"{name}:={topic}"))]
    else:
        words = [*(f"--{name.replace('_', '-')}={topic}" for name, topic in topics.items() if name != "depth"), *words]
    done = threading.Event()
    process = subprocess.Popen([*COMMAND, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def work() -> None:
        while not done.wait(PERIOD_S):
            driver.send()

    sender = threading.Thread(target=work)
    if driver is not None:
        sender.start()
    try:
        told, log = process.communicate(timeout=60)
    finally:
        done.set()
        if driver is not None:
            sender.join()
    assert process.returncode in (0, 1), log
    report = json.loads(told)
    return process.returncode, report["findings"], report["facts"]


def test_a_healthy_camera_has_no_findings(graph: Graph) -> None:
    code, findings, facts = examine(graph, Driver(graph), remap=True)
    assert not findings
    assert code == 0
    assert facts["image"]["topic"] == f"{graph.namespace}/image"
    assert facts["image"]["size"] == "64x48"
    assert 5 < facts["image"]["rate_hz"] < 15
    assert facts["depth"]["messages"] > 5
    assert facts["device"].endswith("ExecutionProvider")
    assert facts["packages"]["numpy"] == np.__version__


# The fault of the driver, arguments of the doctor, and parts of what it prints: the problem and the cure.
CASES = [
    ({"qos": qos_profile_sensor_data}, ["--image-qos", "reliable"], "offers another RELIABILITY", "image_qos"),
    ({"kind": CompressedImage}, [], "carries sensor_msgs/msg/CompressedImage", "image_transport to compressed"),
    ({"twice": True}, [], "has 2 publishers", "one camera at a time"),
    ({"stamp": Time().to_msg()}, [], "a stamp of zero", "must stamp each image"),
    ({"stamp": Time(seconds=1.7e9).to_msg()}, [], "do not advance", "must stamp each image"),
    ({"ahead_s": 37.0}, [], "ahead of the clock", "chrony"),
    ({"ahead_s": -1.5}, [], "ms old, max_age_ms is 500", "chrony"),
    ({"ahead_s": -60.0}, [], "60.0 s behind", "use_sim_time"),
    ({"encoding": "holographic"}, [], "holographic", "encoding"),
    ({"info": {"distortion_model": "brown_conrady", "d": [0.1] * 5}}, [], "'brown_conrady'", "parameter rectified"),
    ({"info": {"k": [0.0] * 9}}, [], "all-zero K", "camera_calibration"),
    ({"info": {"height": 20}}, [], "64x20", ""),
    ({"info": {"header": Header(frame_id="other")}}, [], "'other'", "give the camera_info of the image"),
    ({"depth_shape": (24, 32)}, ["--depth={ns}/depth"], "32x24", "align_depth"),
    ({"depth_frame": "depth_optical"}, ["--depth={ns}/depth"], "'depth_optical'", "align_depth"),
    (
        {"depth_values": lambda m: (m.astype(np.uint16), "16UC1")},
        ["--depth={ns}/depth"],
        "has a median of 0.0",
        "depth_scale to 1000",
    ),
    ({"depth_values": lambda m: (1000 * m, "32FC1")}, ["--depth={ns}/depth"], "has a median of 1.4", "set depth_scale to 0.001"),
    ({"depth_values": lambda m: (np.full_like(m, 0.5), "32FC1")}, ["--depth={ns}/depth"], "the same distance of 0.5 m", "sensor"),
    ({"depth_apart_s": 0.04}, ["--depth={ns}/depth"], "differs by 40.0 ms, depth_slop_ms is 15", ""),
    ({"depth_every": 2}, ["--depth={ns}/depth"], "of the images have no depth: images come at", "at the same rate"),
    ({"depth_every": 1000}, ["--depth={ns}/depth"], "no depth arrives on", "enable depth in the driver"),
    ({}, ["--output-frame", "base_link"], "no transform from optical into base_link", "static_transform_publisher"),
]


@pytest.fixture(scope="module")
def reports() -> Iterator[list[tuple[int, list[dict]]]]:
    """Exit codes and findings of all cases. Some doctors work at the same time, since they wait most of the time."""
    graphs = [Graph(f"doctor_{number}") for number in range(len(CASES))]

    def report(graph: Graph, case: tuple) -> tuple[int, list[dict]]:
        fault, arguments, *_ = case
        return examine(graph, Driver(graph, **fault), *(word.format(ns=graph.namespace) for word in arguments))[:2]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield list(pool.map(report, graphs, CASES))
    for graph in graphs:
        graph.close()


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: next(iter(CASES[number][0]), "frame"))
def test_a_fault_is_named_with_its_cure(reports: list[tuple[int, list[dict]]], number: int) -> None:
    _, _, problem, cure = CASES[number]
    code, findings = reports[number]
    assert code == 1
    found = [finding for finding in findings if problem in finding["problem"]]
    assert found, findings
    assert cure in found[0]["problem"] + found[0]["cure"]


def test_without_a_camera_the_topics_that_have_images_are_listed(graph: Graph) -> None:
    other = graph.node.create_publisher(Image, "elsewhere", 5)
    code, findings, _ = examine(graph, None)
    assert code == 1
    (found,) = [finding for finding in findings if "image has no publisher" in finding["problem"]]
    assert other.topic_name in found["cure"]
    assert [finding for finding in findings if "no camera_info" in finding["problem"]]


def run(*arguments: str, code: str = "", **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", code] if code else list(COMMAND)
    return subprocess.run(
        [*command, *arguments], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_installation_is_checked_without_rclpy() -> None:
    code = "import sys; sys.modules['rclpy'] = None; from hand_mesh_ros.ros.tools.doctor import main; sys.exit(main())"
    done = run("--json", code=code)
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    assert [finding["about"] for finding in report["findings"]] == ["rclpy"]
    assert report["facts"]["models"]["damaged"] == 0


def test_damaged_models_and_a_missing_profile_are_named_in_the_text(tmp_path: Path) -> None:
    missing = tmp_path / "profile.xml"
    done = run("--seconds", "0.5", HAND_MESH_ROS_MODELS=str(tmp_path), FASTDDS_DEFAULT_PROFILES_FILE=str(missing))
    assert done.returncode == 1
    assert f"{tmp_path}" in done.stdout
    assert f"names {missing}, which is not a file\n   -> set it to" in done.stdout
    assert "finding(s)" in done.stdout


def test_wrong_arguments_end_with_exit_code_2() -> None:
    assert run("--nonsense").returncode == 2


def test_the_command_line_hands_over() -> None:
    code = "from hand_mesh_ros.apps.__main__ import main; main(prog_name='hand-mesh')"
    done = run("doctor", "--seconds", "0.5", "--json", code=code)
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["findings"]
