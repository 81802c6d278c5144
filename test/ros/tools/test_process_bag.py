"""Bags in, bags out: the same numbers as from the pipeline itself and from the live node."""

from array import array
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from depth_files import compressed_depth
from graph import Graph
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

rosbag2 = pytest.importorskip("rosbags.rosbag2", reason="pip install rosbags")
from rosbags.typesys import Stores, get_typestore  # noqa: E402

from hand_mesh_ros.apps.__main__ import main as hand_mesh  # noqa: E402
from hand_mesh_ros.core.hand.model import HandModel  # noqa: E402
from hand_mesh_ros.core.pipeline import HandMeshPipeline  # noqa: E402
from hand_mesh_ros.core.types import Frame  # noqa: E402
from hand_mesh_ros.msg import Hand, HandArray, HandHypotheses, HandMeshArray, MeshTopology  # noqa: E402
from hand_mesh_ros.ros.tools.process_bag import main  # noqa: E402
from hand_mesh_ros.synthetic.camera import SyntheticCamera  # noqa: E402

SIZE, N_IMAGES, PERIOD_S, START_S = (320, 240), 5, 0.1, 1000
TOPICS = {"image": "/cam/image_raw", "camera_info": "/cam/camera_info", "depth": "/cam/depth"}
ARGUMENTS = ["--image", TOPICS["image"], "--camera-info", TOPICS["camera_info"], "--set", "device=cpu"]


class Recording:
    """A few images of a rendered hand as messages."""

    def __init__(self, model: HandModel) -> None:
        camera = SyntheticCamera(model, SIZE)
        views = [camera.at(0.3 + PERIOD_S * number) for number in range(N_IMAGES)]
        self.camera_matrix = camera.camera_matrix
        self.rgb, self.depth_m = [view.rgb for view in views], [view.depth_m for view in views]
        self.headers = [header_at(START_S + PERIOD_S * number) for number in range(N_IMAGES)]

    def image(self, number: int, encoding: str = "rgb8") -> Image:
        return self._message(self.rgb[number], encoding, self.headers[number])

    def depth(self, number: int, late_s: float = 0.0) -> Image:
        header = header_at(START_S + PERIOD_S * number + late_s)
        return self._message(np.round(1000 * self.depth_m[number]).astype(np.uint16), "16UC1", header)

    def info(self) -> CameraInfo:
        return CameraInfo(header=self.headers[0], width=SIZE[0], height=SIZE[1], k=self.camera_matrix.ravel())

    def _message(self, pixels: np.ndarray, encoding: str, header: Header) -> Image:
        data, step = array("B", pixels.tobytes()), pixels[0].nbytes
        return Image(header=header, height=SIZE[1], width=SIZE[0], encoding=encoding, step=step, data=data)


def header_at(seconds: float) -> Header:
    header = Header(frame_id="cam_optical")
    header.stamp.sec, header.stamp.nanosec = divmod(round(1e9 * seconds), 1_000_000_000)
    return header


@pytest.fixture(scope="module")
def recording(model: HandModel) -> Recording:
    return Recording(model)


def write_bag(path: Path, messages: list[tuple[str, object]], storage: str = "MCAP") -> Path:
    """A bag of (input, message), recorded a millisecond one after the other."""
    types = get_typestore(Stores.LATEST)
    with rosbag2.Writer(path, version=9, storage_plugin=rosbag2.StoragePlugin[storage]) as writer:
        kinds = {"image": "Image", "camera_info": "CameraInfo", "depth": "Image"}
        kinds = {name: f"sensor_msgs/msg/{kind}" for name, kind in (kinds | {n: type(m).__name__ for n, m in messages}).items()}
        connections = {name: writer.add_connection(TOPICS[name], kinds[name], typestore=types) for name in TOPICS}
        for number, (name, message) in enumerate(messages):
            writer.write(connections[name], 5_000_000_000 + 1_000_000 * number, serialize_message(message))
    return path


def read_bag(path: Path) -> dict[str, list]:
    """Messages of a bag of results by the last part of their topic."""
    kinds = {"hands": HandArray, "meshes": HandMeshArray, "hypotheses": HandHypotheses, "topology": MeshTopology}
    found = {name: [] for name in kinds}
    with rosbag2.Reader(path) as reader:
        for connection, _, raw in reader.messages():
            name = connection.topic.removeprefix("/hand_mesh/")
            found[name].append(deserialize_message(bytes(raw), kinds[name]))
    return found


@pytest.fixture(scope="module")
def answers(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list]:
    """What is made of a plain bag."""
    folder = tmp_path_factory.mktemp("bags")
    # The calibration comes after the first image: that image gets it, too.
    messages = [("image", recording.image(0)), ("camera_info", recording.info())]
    messages += [("image", recording.image(number)) for number in range(1, N_IMAGES)]
    bag = write_bag(folder / "drive", messages, "SQLITE3")
    assert main([str(next(bag.glob("*.db3"))), str(folder / "results"), *ARGUMENTS]) == 0
    return read_bag(folder / "results")


def test_every_image_has_the_answer_that_the_pipeline_gives(answers, recording, model):
    pipeline = HandMeshPipeline.default("cpu")
    assert [message.header for message in answers["hands"]] == recording.headers
    assert [message.header for message in answers["meshes"]] == recording.headers
    assert answers["topology"][0].topology_id == model.digest
    for number, (hands, meshes) in enumerate(zip(answers["hands"], answers["meshes"])):
        frame = Frame(recording.rgb[number], recording.camera_matrix, stamp_s=START_S + PERIOD_S * number)
        (expected,) = pipeline.estimate(frame)
        assert hands.model_id == pipeline.model_id
        np.testing.assert_allclose(hands.hands[0].joints, expected.joints_m.ravel(), atol=1e-5)
        np.testing.assert_allclose(meshes.meshes[0].vertices, expected.vertices_m.ravel(), atol=1e-5)
    assert len(answers["hypotheses"]) == N_IMAGES


def test_the_command_line_writes_the_same_bag(answers, recording, tmp_path):
    messages = [("camera_info", recording.info()), *(("image", recording.image(number)) for number in range(N_IMAGES))]
    bag = write_bag(tmp_path / "drive", messages)
    result = CliRunner().invoke(hand_mesh, ["bag", str(bag), str(tmp_path / "results"), *ARGUMENTS])
    assert result.exit_code == 0, result.output
    assert f"{N_IMAGES} images answered" in result.output
    joints_m = [message.hands[0].joints for message in read_bag(tmp_path / "results")["hands"]]
    np.testing.assert_allclose(joints_m, [message.hands[0].joints for message in answers["hands"]], atol=1e-6)
    assert CliRunner().invoke(hand_mesh, ["bag", str(tmp_path / "nothing"), str(tmp_path / "out"), *ARGUMENTS]).exit_code == 2


def test_the_live_node_gives_the_same_numbers(answers, recording):
    graph = Graph("bag_and_live")
    reliable = QoSProfile(depth=1)
    try:
        graph.collect("hands", HandArray)
        to_image = graph.node.create_publisher(Image, "image", reliable)
        to_info = graph.node.create_publisher(CameraInfo, "camera_info", reliable)
        # The stamps are old: they are those of the bag.
        graph.start("hand_mesh_node", threads=1, image_qos="reliable", max_age_ms=0.0, device="cpu")

        def is_calibrated() -> bool:
            warm = recording.image(0)
            warm.header = header_at(1.0)
            to_info.publish(recording.info())
            to_image.publish(warm)
            graph.wait_for(lambda: False, 0.2)
            return any(hand.scale_source != Hand.SCALE_NONE for hands in graph.received["hands"] for hand in hands.hands)

        assert graph.wait_for(is_calibrated, 40.0)
        for number, expected in enumerate(answers["hands"]):
            to_image.publish(recording.image(number))

            def answer(header: Header = expected.header) -> HandArray | None:
                return next((hands for hands in graph.received["hands"] if hands.header == header), None)

            live = graph.wait_for(answer, 20.0)
            assert live, f"image {number} is not answered"
            np.testing.assert_allclose(live.hands[0].joints, expected.hands[0].joints, atol=1e-5)
            np.testing.assert_allclose(live.hands[0].joint_covariance, expected.hands[0].joint_covariance, rtol=1e-3, atol=1e-9)
    finally:
        graph.close()


def test_a_bag_of_compressed_images_gives_the_same_hands(answers, recording, tmp_path):
    def compressed(number: int) -> CompressedImage:
        png = cv2.imencode(".png", cv2.cvtColor(recording.rgb[number], cv2.COLOR_RGB2BGR))[1].tobytes()
        return CompressedImage(header=recording.headers[number], format="rgb8; png compressed bgr8", data=png)

    messages = [("camera_info", recording.info()), *(("image", compressed(number)) for number in range(N_IMAGES))]
    assert main([str(write_bag(tmp_path / "drive", messages)), str(tmp_path / "results"), *ARGUMENTS]) == 0
    hands = read_bag(tmp_path / "results")["hands"]
    assert [message.header for message in hands] == recording.headers
    for found, expected in zip(hands, answers["hands"]):
        np.testing.assert_allclose(found.hands[0].joints, expected.hands[0].joints, atol=1e-5)


def test_depth_is_paired_by_stamp_and_measures_the_scale(recording, tmp_path):
    messages = [("camera_info", recording.info())]
    for number in range(N_IMAGES):
        # The depth of the last image is too late for it.
        late_s = 0.005 if number < N_IMAGES - 1 else 0.05
        messages += [("image", recording.image(number)), ("depth", recording.depth(number, late_s))]
    bag = write_bag(tmp_path / "drive", messages)
    assert main([str(bag), str(tmp_path / "results"), *ARGUMENTS, "--depth", TOPICS["depth"], "--storage", "sqlite3"]) == 0
    flags = [np.any(hands.hands[0].joint_flags & Hand.FLAG_DEPTH_ANCHORED) for hands in read_bag(tmp_path / "results")["hands"]]
    assert flags == [True] * (N_IMAGES - 1) + [False]


def test_a_bag_that_holds_a_drive_twice_gives_the_same_hands_twice_under_new_ids(answers, recording, tmp_path):
    end = recording.image(0)
    end.header = header_at(START_S + 1.0)  # a jump back by less than half a second would be a late message
    lap = [*(("image", recording.image(number)) for number in range(N_IMAGES)), ("image", end)]
    bag = write_bag(tmp_path / "drive", [("camera_info", recording.info()), *lap, *lap])
    assert main([str(bag), str(tmp_path / "results"), *ARGUMENTS]) == 0
    hands = read_bag(tmp_path / "results")["hands"]
    assert [message.header for message in hands] == 2 * [*recording.headers, end.header]
    first, second = ([message.hands[0] for message in lap] for lap in (hands[: len(lap)], hands[len(lap) :]))
    assert {hand.id for hand in first}.isdisjoint(hand.id for hand in second)
    # Nothing of the first drive is left: no smoothing across the jump, no velocity, no size.
    for hands_of_lap in (first, second):
        for hand, expected in zip(hands_of_lap, answers["hands"]):
            np.testing.assert_allclose(hand.joints, expected.hands[0].joints, atol=1e-5)


def test_an_image_that_cannot_be_read_is_counted_and_late_ones_are_left_out(recording, tmp_path, capsys):
    messages = [("camera_info", recording.info()), ("image", recording.image(1)), ("image", recording.image(0))]
    messages += [("image", recording.image(2, "holographic")), ("image", recording.image(3))]
    bag = write_bag(tmp_path / "drive", messages)
    assert main([str(bag), str(tmp_path / "results"), *ARGUMENTS]) == 1
    told = capsys.readouterr()
    assert "2 images answered, 2 with hands, 1 late" in told.out
    assert "holographic" in told.err


def test_an_unknown_lens_costs_the_positions_alone_and_is_said(recording, tmp_path, capsys):
    info = recording.info()
    info.distortion_model, info.d = "brown_conrady", [0.1] * 5
    bag = write_bag(tmp_path / "drive", [("camera_info", info), *(("image", recording.image(number)) for number in range(2))])
    assert main([str(bag), str(tmp_path / "results"), *ARGUMENTS]) == 0
    hands = read_bag(tmp_path / "results")["hands"]
    assert [message.hands[0].scale_source for message in hands] == [Hand.SCALE_NONE] * 2
    assert "2 images without positions: camera_info has the distortion model 'brown_conrady'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--image", "/other"], "/cam/image_raw (sensor_msgs/msg/Image)"),
        (["--image", TOPICS["camera_info"]], "must be sensor_msgs/msg/Image"),
        (["--image", TOPICS["image"], "--set", "n_hypothesis=3"], "n_hypotheses"),
        (["--image", TOPICS["image"], "--set", "n_hypotheses=many"], "expected a int"),
        (["--image", TOPICS["image"], "--set", "n_hypotheses=1000"], "1 to 64"),
    ],
)
def test_what_does_not_fit_is_said(recording, tmp_path, capsys, arguments, reason):
    bag = write_bag(tmp_path / "drive", [("camera_info", recording.info())])
    assert main([str(bag), str(tmp_path / "results"), *arguments]) == 2
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_what_is_no_bag_and_a_folder_that_exists_are_refused(recording, tmp_path, capsys):
    text = tmp_path / "notes.mcap"
    text.write_text("not a bag")
    for wrong in (text, tmp_path / "nothing"):
        assert main([str(wrong), str(tmp_path / "results"), *ARGUMENTS]) == 2
        assert str(wrong) in capsys.readouterr().err
    bag = write_bag(tmp_path / "drive", [("camera_info", recording.info())])
    assert main([str(bag), str(bag), *ARGUMENTS]) == 2
    assert "exists" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_named(recording, tmp_path, capsys):
    bag = write_bag(tmp_path / "drive", [("camera_info", recording.info())])
    assert main([str(bag), "/proc/results", *ARGUMENTS]) == 2
    assert "/proc/results cannot be written" in capsys.readouterr().err


def test_a_bad_depth_costs_the_depth_and_not_the_hand(recording, tmp_path, capsys):
    strange, small = recording.depth(1), recording.depth(2)
    strange.encoding = "furlongs"
    small.height //= 2
    messages = [("camera_info", recording.info())]
    for number, depth in enumerate((recording.depth(0), strange, small)):
        messages += [("depth", depth), ("image", recording.image(number))]
    bag = write_bag(tmp_path / "drive", messages)
    assert main([str(bag), str(tmp_path / "results"), *ARGUMENTS, "--depth", TOPICS["depth"]]) == 0
    hands = read_bag(tmp_path / "results")["hands"]
    flags = [np.any(message.hands[0].joint_flags & Hand.FLAG_DEPTH_ANCHORED) for message in hands]
    assert flags == [True, False, False]
    told = capsys.readouterr()
    assert "3 images answered" in told.out
    assert "2 depth images refused" in told.err
    assert "register" in told.err


def test_stamps_that_repeat_and_a_calibration_of_another_frame_are_said(recording, tmp_path, capsys):
    again = recording.image(1)
    again.header = recording.image(0).header
    info = recording.info()
    info.header = Header(frame_id="other_camera")
    bag = write_bag(tmp_path / "drive", [("camera_info", info), ("image", recording.image(0)), ("image", again)])
    assert main([str(bag), str(tmp_path / "results"), *ARGUMENTS]) == 0
    told = capsys.readouterr().err
    assert "1 images have the stamp of the image before" in told
    assert "camera_info 'other_camera'" in told


def test_an_image_that_breaks_a_model_does_not_end_the_bag(recording, tmp_path, capsys, monkeypatch):
    estimate = HandMeshPipeline.estimate

    def breaking(pipeline: HandMeshPipeline, frame: Frame) -> list:
        if frame.stamp_s == pytest.approx(START_S + PERIOD_S):
            raise ValueError("numbers that are not finite")
        return estimate(pipeline, frame)

    monkeypatch.setattr(HandMeshPipeline, "estimate", breaking)
    bag = write_bag(tmp_path / "drive", [("image", recording.image(number)) for number in range(3)])
    arguments = ["--image", TOPICS["image"], "--set", "device=cpu"]
    assert main([str(bag), str(tmp_path / "results"), *arguments]) == 1
    told = capsys.readouterr()
    assert "2 images answered" in told.out
    assert "ValueError" in told.err
    assert "not finite" in told.err


def test_depth_of_a_bag_that_is_wrong_or_missing_is_named(recording, tmp_path, capsys):
    messages = [("camera_info", recording.info())]
    for number in range(20):
        image, depth = recording.image(number % N_IMAGES), recording.depth(number % N_IMAGES)
        image.header = header_at(START_S + PERIOD_S * number)
        depth.header.stamp, depth.header.frame_id = image.header.stamp, "depth_optical"
        # Tenths of a millimetre.
        depth.data = array("B", (10 * np.frombuffer(depth.data, np.uint16)).tobytes())
        messages += [("depth", depth), ("image", image)] if number % 5 else [("image", image)]
    bag = write_bag(tmp_path / "drive", messages)
    arguments = [str(bag), *ARGUMENTS, "--depth", TOPICS["depth"]]
    assert main([*arguments[:1], str(tmp_path / "results"), *arguments[1:]]) == 0
    told = capsys.readouterr().err
    assert "4 of 20 images have no depth" in told
    assert f"{TOPICS['depth']} is in the frame 'depth_optical', {TOPICS['image']} in the frame 'cam_optical'" in told
    assert "ratio 9" in told or "ratio 10" in told
    assert main([*arguments[:1], str(tmp_path / "scaled"), *arguments[1:], "--depth-scale", "0.1"]) == 0
    assert "ratio" not in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["16UC1", "32FC1"])
def test_compressed_depth_of_a_bag_measures_the_scale(recording, tmp_path, encoding):
    messages = [("camera_info", recording.info())]
    for number in range(N_IMAGES):
        depth = compressed_depth(recording.depth_m[number], encoding)
        depth.header = recording.headers[number]
        messages += [("depth", depth), ("image", recording.image(number))]
    bag = write_bag(tmp_path / "drive", messages)
    assert main([str(bag), str(tmp_path / "results"), *ARGUMENTS, "--depth", TOPICS["depth"]]) == 0
    for hands in read_bag(tmp_path / "results")["hands"]:
        assert np.any(hands.hands[0].joint_flags & Hand.FLAG_DEPTH_ANCHORED)


def test_images_of_a_bag_that_are_black_or_have_a_wrong_encoding_are_named(recording, tmp_path, capsys):
    dark, swapped = recording.image(0), recording.image(0)
    dark.data = array("B", bytes(len(dark.data)))
    swapped.encoding = "bgr8"
    for name, image, needle in (("dark", dark, "is nearly black"), ("swapped", swapped, "'bgr8' is read as 'rgb8'")):
        messages = [("camera_info", recording.info())]
        for number in range(30):
            copied = Image(**{field: getattr(image, field) for field in ("height", "width", "encoding", "step", "data")})
            copied.header = header_at(START_S + PERIOD_S * number)
            messages.append(("image", copied))
        bag = write_bag(tmp_path / name, messages)
        assert main([str(bag), str(tmp_path / f"{name}_results"), *ARGUMENTS]) == 0
        assert f"an image of {TOPICS['image']} " in (told := capsys.readouterr().err)
        assert needle in told
