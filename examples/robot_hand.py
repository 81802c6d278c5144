"""A small left or right robot hand for the examples, as URDF, with four fingers and twelve joints.

The palm link has operator axes: x out of the palm, z along the palm, the wrist at the origin. Joints from `joints_operator`
therefore need no rotation. All link frames are parallel if all joints are 0.
"""

import argparse
from collections.abc import Iterator
from xml.etree import ElementTree

# Per finger of the right hand: first joint [m], direction of the straight finger, lengths of its three links [m].
FINGERS = {
    "thumb": ((0.018, 0.030, 0.020), (0.314, 0.504, 0.804), (0.040, 0.032, 0.026)),
    "index": ((0.0, 0.024, 0.086), (0.0, 0.0, 1.0), (0.040, 0.024, 0.019)),
    "middle": ((0.0, 0.0, 0.085), (0.0, 0.0, 1.0), (0.045, 0.027, 0.021)),
    "ring": ((0.0, -0.024, 0.077), (0.0, 0.0, 1.0), (0.041, 0.026, 0.020)),
}
# Axes of abduction and flexion. Positive abduction points to the side of the thumb; that of the thumb points out of the palm.
AXES = {"thumb": ((-0.266, 0.860, -0.435), (0.911, 0.078, -0.405)), "others": ((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0))}
LIMITS = ((-0.4, 0.8), (-0.3, 1.6), (-0.1, 1.9))
JOINTS = ("abduction", "proximal", "distal")


def urdf(side: str) -> str:
    """Returns the URDF, with joints `index_abduction`, `index_proximal`, `index_distal`, .. and links `palm`, `index_tip`, .."""
    robot = ElementTree.Element("robot", name=f"{side}_hand")
    for name, parent, origin, axis, limits in joints(side):
        kind = "revolute" if axis else "fixed"
        if parent == "palm" and robot.find("link") is None:
            ElementTree.SubElement(robot, "link", name="palm")
        ElementTree.SubElement(robot, "link", name=f"{name}_link" if axis else name)
        joint = ElementTree.SubElement(robot, "joint", name=name if axis else f"{name}_joint", type=kind)
        ElementTree.SubElement(joint, "parent", link=parent)
        ElementTree.SubElement(joint, "child", link=f"{name}_link" if axis else name)
        ElementTree.SubElement(joint, "origin", xyz=_text(origin), rpy="0 0 0")
        if axis:
            ElementTree.SubElement(joint, "axis", xyz=_text(axis))
            low, high = limits
            ElementTree.SubElement(joint, "limit", lower=str(low), upper=str(high), effort="1", velocity="6")
    ElementTree.indent(robot)
    return ElementTree.tostring(robot, encoding="unicode")


def joints(side: str) -> Iterator[tuple[str, str, tuple, tuple | None, tuple | None]]:
    """Yields name, parent link, offset from the parent, axis and limits of every joint, from palm to tips. A tip has no axis.

    Raises:
        ValueError: if `side` is neither left nor right.
    """
    if side not in ("left", "right"):
        raise ValueError(f"side is {side!r}; use left or right")
    mirror = 1 if side == "right" else -1
    for finger, (base, along, lengths) in FINGERS.items():
        abduction, flexion = AXES.get(finger, AXES["others"])
        ends = [base, (0.0, 0.0, 0.0), *(tuple(length * value for value in along) for length in (lengths[0], sum(lengths[1:])))]
        axes = (abduction, flexion, flexion, None)
        names = (*(f"{finger}_{joint}" for joint in JOINTS), f"{finger}_tip")
        for number, (name, (x, y, z), axis) in enumerate(zip(names, ends, axes)):
            parent = f"{names[number - 1]}_link" if number else "palm"
            # In a mirror image at the plane y = 0, a rotation axis keeps its y; x and z change their sign.
            turned = axis and (mirror * axis[0], axis[1], mirror * axis[2])
            yield name, parent, (x, mirror * y, z), turned, axis and LIMITS[number]


def _text(values: tuple) -> str:
    return " ".join(f"{value:.6g}" for value in values)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("side", choices=("left", "right"))
    print(urdf(parser.parse_args().side))
