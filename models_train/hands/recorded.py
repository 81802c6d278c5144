"""Joint angles of recorded hands: makes `recorded_poses.csv` from the poses of handy.js.

    python -m models_train.hands.recorded --poses handy.json

Source: github.com/stewdio/handy.js (MIT licence, Stewart Smith). The hand tracking of a headset recorded the hands of one person:
gestures, counts, the American manual alphabet. The table keeps only angles. The headset was wrong about the letters in
`_DOUBTFUL`, because fingers cover each other. The poses in `_HELD_OUT`, of left and right hands, are for tests only.
"""

import argparse
import csv
import json
from pathlib import Path

import numpy as np

from hand_mesh_ros.core.hand.joint_angles import ANGLE_NAMES, joint_angles
from hand_mesh_ros.core.topology import N_JOINTS
from models_train.hands.poses import RECORDED_TABLE
from models_train.hands.sample import shipped_hand

_DOUBTFUL = {f"asl {letter}" for letter in "mnrtx"}
_HELD_OUT = {"grab", "vulcan", "crook only ring", "walk index down", "asl 3", "asl k", "asl o", "asl y"}
# WebXR has 25 joints. Each finger except the thumb has an extra joint at the base of the metacarpal.
_METACARPALS = (5, 10, 15, 20)


def to_row(pose: dict) -> list[str | int]:
    """Returns a line of the table: name, side, held_out, 20 angles in whole degrees."""
    joints_m = np.delete(np.array(pose["joints_mm"], float), _METACARPALS, axis=0) / 1000
    if joints_m.shape != (N_JOINTS, 3):
        raise ValueError(f"pose '{pose['name']}' has {len(pose['joints_mm'])} joints; WebXR has 25")
    angles = np.rad2deg(joint_angles(shipped_hand(), joints_m, pose["side"]))
    return [pose["name"], pose["side"], int(pose["name"] in _HELD_OUT), *np.round(angles).astype(int).ravel()]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--poses", type=Path, required=True, help="JSON list of name, side and joints_mm (25, 3)")
    parser.add_argument("--out", type=Path, default=RECORDED_TABLE)
    args = parser.parse_args()
    rows = [to_row(pose) for pose in json.loads(args.poses.read_text()) if pose["name"] not in _DOUBTFUL]
    with args.out.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([["name", "side", "held_out", *ANGLE_NAMES], *rows])


if __name__ == "__main__":
    main()
