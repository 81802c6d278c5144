"""Runs MediaPipe Hands on frames from the standard input and prints one line of times per frame.

benchmarks.latency sends each frame of our pipeline to this script. mediapipe_hands.py describes the environment.

    mediapipe_env/bin/python benchmarks/latency/mediapipe_frames.py WIDTH HEIGHT MAX_HANDS
"""

import sys

import mediapipe
import numpy as np
from mediapipe_hands import look


def main() -> None:
    """Reads frames of WIDTH x HEIGHT x 3 bytes until the end. Writes wall time, processor time [ms] and number of hands."""
    width, height, max_hands = map(int, sys.argv[1:4])
    answers = sys.stdout
    sys.stdout = sys.stderr
    with mediapipe.solutions.hands.Hands(max_num_hands=max_hands, model_complexity=1) as hands:
        while len(content := sys.stdin.buffer.read(width * height * 3)) == width * height * 3:
            found = look(hands, np.frombuffer(content, np.uint8).reshape(height, width, 3))
            answers.write(f"{found['wall_ms']} {found['cpu_ms']} {found['n_hands']}\n")
            answers.flush()


if __name__ == "__main__":
    main()
