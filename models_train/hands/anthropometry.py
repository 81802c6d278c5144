"""Bone lengths of adult hands.

Source: A. Buryanov and V. Kotiuk, "Proportions of Hand Segments", Int. J. Morphol. 28(3), 2010: mean and standard deviation of
metacarpals and phalanges on radiographs of 66 adults, and the soft tissue in front of the distal phalanges.
The distance between two joint centres is the length of the bone plus half a gap at each end (`JOINT_GAP_MM`). The wrist landmark
is `CARPUS_MM` below the base of the metacarpals.
"""

import numpy as np

from hand_mesh_ros.core.topology import FINGER_JOINTS, N_JOINTS

# [finger]: metacarpal, proximal, middle (none for the thumb), distal phalanx, soft tissue of the tip; millimetres.
_MEAN_MM = {
    "thumb": (46.22, 31.57, None, 21.67, 5.67),
    "index": (68.12, 39.78, 22.38, 15.82, 3.84),
    "middle": (64.60, 44.63, 26.33, 17.40, 3.95),
    "ring": (58.00, 41.37, 25.65, 17.30, 3.95),
    "little": (53.69, 32.74, 18.11, 15.96, 3.73),
}
# The deviations in the table are 8 to 12 % of the means. All bones of a hand share most of this deviation, the size of the hand.
SIZE_REL_STD = 0.08
PROPORTION_REL_STD = 0.055
# Different joint definitions increase the variation of the proportions.
ANNOTATED_PROPORTION_REL_STD = 0.07
JOINT_GAP_MM = 1.5
CARPUS_MM = 21.0
# The table has no bone for the carpal part of the thumb, from the wrist landmark to the base of the thumb's metacarpal.
_WRIST_TO_THUMB_CMC_MM = 40.0
# In the landmark convention, the thumb's CMC is a little above the real joint. The triangulation on the hand model shows this.
_THUMB_CMC_SHIFT_MM = 4.0


def mean_bone_lengths_m() -> np.ndarray:
    """Returns average adult distances between joint centres, (20,) in metres, in the order of topology.BONES."""
    lengths = np.zeros(N_JOINTS)
    for joints, (metacarpal, proximal, middle, distal, tissue) in zip(FINGER_JOINTS, _MEAN_MM.values()):
        tip = distal + tissue
        if middle is None:
            lengths[joints] = _WRIST_TO_THUMB_CMC_MM, metacarpal - _THUMB_CMC_SHIFT_MM, proximal + JOINT_GAP_MM, tip
        else:
            lengths[joints] = CARPUS_MM + metacarpal, proximal + JOINT_GAP_MM, middle + JOINT_GAP_MM, tip
    return lengths[1:] / 1000.0
