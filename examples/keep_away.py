"""Prints the distance between a point of a robot and the hand, for a planner. Input: the service `get_hand_shape`.

    python examples/keep_away.py --ros-args -r __ns:=/hand_mesh -p side:=right -p point:="[0.0, 0.0, 0.4]"

prints the distance of `point` (metres, frame of the camera) to the hand, inflated by two standard deviations. The exit code is 0.
If there is no hand now, the program prints the reason, and the exit code is 1.
"""

import sys

import numpy as np
import rclpy
from rclpy.node import Node
from shape_msgs.msg import SolidPrimitive

from hand_mesh_ros.msg import Hand
from hand_mesh_ros.srv import GetHandShape

K_SIGMA = 2.0
PATIENCE_S = 5.0


def clearance_m(point: np.ndarray, shape: GetHandShape.Response) -> float:
    """Returns the distance of a point to the spheres and cylinders of a hand; 0 or less inside."""
    distances = []
    for primitive, pose in zip(shape.primitives, shape.primitive_poses):
        offset = point - (pose.position.x, pose.position.y, pose.position.z)
        if primitive.type == SolidPrimitive.SPHERE:
            distances.append(np.linalg.norm(offset) - primitive.dimensions[0])
            continue
        height, radius = primitive.dimensions
        q = pose.orientation
        axis = np.array([2 * (q.x * q.z + q.y * q.w), 2 * (q.y * q.z - q.x * q.w), 1 - 2 * (q.x**2 + q.y**2)])
        along = abs(offset @ axis) - height / 2
        across = np.linalg.norm(offset - (offset @ axis) * axis) - radius
        distances.append(np.hypot(max(along, 0), max(across, 0)) + min(max(along, across), 0))
    return float(min(distances))


def main() -> int:
    """Sends one request."""
    rclpy.init()
    node = Node("keep_away")
    side = node.declare_parameter("side", "right").value
    point = np.array(node.declare_parameter("point", [0.0, 0.0, 0.4]).value)
    client = node.create_client(GetHandShape, "hand_mesh_node/get_hand_shape")
    if not client.wait_for_service(PATIENCE_S):
        print(f"the service {client.srv_name} does not exist: start hand_mesh_node", file=sys.stderr)
        return 1
    code = {"left": Hand.SIDE_LEFT, "right": Hand.SIDE_RIGHT}[side]
    future = client.call_async(GetHandShape.Request(side=code, k_sigma=K_SIGMA))
    rclpy.spin_until_future_complete(node, future, timeout_sec=PATIENCE_S)
    shape = future.result()
    if shape is None or not shape.success:
        print(shape.message if shape else f"no answer from {client.srv_name} within {PATIENCE_S:g} s", file=sys.stderr)
        return 1
    print(f"{clearance_m(point, shape):.3f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
