"""Where frames were: the buffer of our own, and tf2_ros where it is installed, against the same laws."""

from collections.abc import Iterator

import numpy as np
import pytest
from graph import Graph
from tf_messages import SECOND, motion, stamped

from hand_mesh_ros.core.stream.transform_buffer import Sample, TransformBuffer, TransformError
from hand_mesh_ros.ros.endpoints import Endpoints
from hand_mesh_ros.ros.input import transforms
from hand_mesh_ros.ros.output import convert_hands

T0 = 1_700_000_000 * SECOND


class OfTf2(transforms.Tf2Transforms):
    """tf2_ros, filled as a TransformBuffer is."""

    def insert(self, child: str, sample: Sample, stamp_ns: int, is_static: bool) -> None:
        transform = stamped(sample.parent, child, sample.parent_from_child, stamp_ns)
        (self._buffer.set_transform_static if is_static else self._buffer.set_transform)(transform, "test")


@pytest.fixture(params=["own", *(["tf2_ros"] if transforms.tf2_ros else [])])
def buffer(request: pytest.FixtureRequest) -> Iterator[TransformBuffer]:
    """Of each implementation that is installed."""
    if request.param == "own":
        yield TransformBuffer()
        return
    graph = Graph("tf2")
    endpoints = Endpoints(graph.node)
    yield OfTf2(endpoints)
    endpoints.destroy()
    graph.close()


def sample(parent: str, parent_from_child: np.ndarray, sign: float = 1.0) -> Sample:
    turn = convert_hands.quaternion(parent_from_child[:3, :3])
    return Sample(parent, parent_from_child[:3, 3], sign * np.array([turn.x, turn.y, turn.z, turn.w]))


def add(
    buffer: TransformBuffer, parent: str, child: str, matrix: np.ndarray, stamp_ns: int = T0, is_static: bool = False
) -> None:
    buffer.insert(child, sample(parent, matrix), stamp_ns, is_static)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["near quaternions", "opposite quaternions"])
def test_between_two_samples_a_frame_moves_straight_and_turns_evenly(buffer, share, sign):
    buffer.insert("arm", sample("base", motion([1.0, 2, 3], 0.4)), T0, False)
    buffer.insert("arm", sample("base", motion([3.0, 2, -1], 1.6), sign), T0 + SECOND, False)
    found = buffer.lookup("base", "arm", T0 + int(share * SECOND))
    np.testing.assert_allclose(found, motion([1 + 2 * share, 2, 3 - 4 * share], 0.4 + 1.2 * share), atol=1e-9)


def test_a_frame_at_rest_stays_where_it_is(buffer):
    for stamp_ns in (T0, T0 + SECOND):
        add(buffer, "base", "arm", motion([1.0, 2, 3], 0.4), stamp_ns)
    np.testing.assert_allclose(buffer.lookup("base", "arm", T0 + SECOND // 3), motion([1.0, 2, 3], 0.4), atol=1e-12)


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (0, 2, 2, 1, 1)])
def test_samples_that_come_late_or_twice_find_their_place(buffer, order):
    for tenth in order:
        add(buffer, "base", "arm", motion([tenth**2, 0.0, 0.0]), T0 + tenth * SECOND // 10)
    assert buffer.lookup("base", "arm", T0 + SECOND // 20)[0, 3] == pytest.approx(0.5)
    assert buffer.lookup("base", "arm", T0 + 3 * SECOND // 20)[0, 3] == pytest.approx(2.5)


@pytest.mark.parametrize("offset_ns", [-1, SECOND + 1])
def test_nothing_is_known_outside_of_the_samples(buffer, offset_ns):
    for stamp_ns in (T0, T0 + SECOND):
        add(buffer, "base", "arm", np.eye(4), stamp_ns)
    with pytest.raises(TransformError):
        buffer.lookup("base", "arm", T0 + offset_ns)


def test_the_own_buffer_says_by_how_much_a_time_is_missed():
    buffer = TransformBuffer()
    add(buffer, "base", "arm", np.eye(4), T0)
    add(buffer, "base", "arm", np.eye(4), T0 + SECOND)
    with pytest.raises(TransformError, match=r"arm is known only until 0\.250 s before"):
        buffer.lookup("base", "arm", T0 + 5 * SECOND // 4)
    with pytest.raises(TransformError, match=r"arm is known only from 0\.500 s after"):
        buffer.lookup("base", "arm", T0 - SECOND // 2)


def chain(buffer: TransformBuffer) -> dict[str, np.ndarray]:
    """world - base (static) - arm (moving) - camera (static), and world - table (moving): world_from_frame at T0 + 0.5 s."""
    base, camera, table = motion([1.0, 0, 0], 0.5), motion([0, 0.1, 0.2], -1.2), motion([0, 3.0, 0], 2.0)
    add(buffer, "world", "base", base, T0 - 3600 * SECOND, is_static=True)
    add(buffer, "arm", "camera", camera, T0 + 3600 * SECOND, is_static=True)
    for half in (0, 2):
        add(buffer, "base", "arm", motion([0, 0, half], 0.3 * half), T0 + half * SECOND // 2)
        add(buffer, "world", "table", table, T0 + half * SECOND // 2)
    arm = base @ motion([0, 0, 1], 0.3)
    return {"world": np.eye(4), "base": base, "arm": arm, "camera": arm @ camera, "table": table}


@pytest.mark.parametrize("target", ["world", "base", "arm", "camera", "table"])
@pytest.mark.parametrize("source", ["world", "base", "arm", "camera", "table"])
def test_transforms_chain_up_and_down_the_tree(buffer, target, source):
    world_from = chain(buffer)
    expected = np.linalg.inv(world_from[target]) @ world_from[source]
    np.testing.assert_allclose(buffer.lookup(target, source, T0 + SECOND // 2), expected, atol=1e-9)


def test_what_lies_above_the_common_ancestor_need_not_be_known(buffer):
    add(buffer, "world", "base", np.eye(4), T0 - 5 * SECOND)
    for child in ("arm", "table"):
        add(buffer, "base", child, motion([1.0, 0, 0]), T0)
    np.testing.assert_allclose(buffer.lookup("table", "arm", T0), np.eye(4), atol=1e-12)
    with pytest.raises(TransformError):
        buffer.lookup("world", "arm", T0)


def test_frames_that_are_unknown_or_in_another_tree_are_named(buffer):
    chain(buffer)
    add(buffer, "moon", "crater", np.eye(4), T0, is_static=True)
    with pytest.raises(TransformError, match="nowhere"):
        buffer.lookup("world", "nowhere", T0)
    with pytest.raises(TransformError, match="nowhere"):
        buffer.lookup("nowhere", "camera", T0)
    with pytest.raises(TransformError, match=r"crater|moon"):
        buffer.lookup("crater", "camera", T0)


def test_parents_in_a_loop_end(buffer):
    for child, parent in (("a", "b"), ("b", "c"), ("c", "a")):
        add(buffer, parent, child, motion([1.0, 0, 0]), T0)
    add(buffer, "world", "table", np.eye(4), T0)
    with pytest.raises(TransformError, match=r"loop|tree"):
        buffer.lookup("table", "a", T0)
    with pytest.raises(TransformError, match=r"loop|tree"):
        buffer.lookup("a", "table", T0)


def test_history_is_ten_seconds():
    buffer = TransformBuffer()
    for second in range(0, 15):
        add(buffer, "base", "arm", motion([second, 0.0, 0.0]), T0 + second * SECOND)
    assert buffer.lookup("base", "arm", T0 + 9 * SECOND // 2)[0, 3] == pytest.approx(4.5)
    with pytest.raises(TransformError):
        buffer.lookup("base", "arm", T0 + 7 * SECOND // 2)


def test_clearing_forgets_what_moves_and_keeps_what_is_static(buffer):
    chain(buffer)
    buffer.clear()
    with pytest.raises(TransformError):
        buffer.lookup("base", "arm", T0)
    assert buffer.lookup("world", "base", T0)[0, 3] == 1.0


def test_a_sample_that_jumps_back_forgets_the_run_before():
    """An image of the new run must not meet the old run's poses, also not those of frames that have sent nothing new."""
    buffer = TransformBuffer()
    chain(buffer)
    add(buffer, "base", "arm", motion([7.0, 0, 0]), T0 - SECOND)
    assert buffer.lookup("base", "arm", T0 - SECOND)[0, 3] == 7.0
    for frame in ("arm", "table"):
        with pytest.raises(TransformError):
            buffer.lookup("base", frame, T0 + SECOND // 2)
    assert buffer.lookup("world", "base", T0)[0, 3] == 1.0


def test_a_frame_that_was_given_another_parent_is_unknown_in_between():
    buffer = TransformBuffer()
    add(buffer, "table", "cup", motion([1.0, 0, 0]), T0)
    add(buffer, "hand", "cup", motion([2.0, 0, 0]), T0 + SECOND)
    assert buffer.lookup("table", "cup", T0)[0, 3] == 1.0
    assert buffer.lookup("hand", "cup", T0 + SECOND)[0, 3] == 2.0
    with pytest.raises(TransformError, match="parent of cup changes from table to hand"):
        buffer.lookup("table", "cup", T0 + SECOND // 2)


@pytest.mark.parametrize(
    ("child", "parent", "translation_m", "quaternion", "needle"),
    [
        ("arm", "base", [0, np.nan, 0], [0, 0, 0, 1], "nan"),
        ("arm", "base", [0, 0, 0], [0, 0, 0, 0], "quaternion"),
        ("arm", "base", [0, 0, 0], [0, 0, 0, np.nan], "quaternion"),
        ("arm", "arm", [0, 0, 0], [0, 0, 0, 1], "between two frames"),
        ("arm", "", [0, 0, 0], [0, 0, 0, 1], "between two frames"),
        ("", "base", [0, 0, 0], [0, 0, 0, 1], "between two frames"),
    ],
)
def test_what_is_no_transform_is_refused(child, parent, translation_m, quaternion, needle):
    buffer = TransformBuffer()
    with pytest.raises(ValueError, match=needle):
        buffer.insert(child, Sample(parent, np.array(translation_m, float), np.array(quaternion, float)), T0, False)


def test_rounded_quaternions_give_rotations(buffer):
    buffer.insert("arm", Sample("base", np.zeros(3), np.array([0.0, 0.0, 0.707, 0.707])), T0, True)
    rotation = buffer.lookup("base", "arm", T0)[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
