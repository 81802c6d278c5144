"""MediaPipe Hands on frames from the standard input, one time in milliseconds per line out. For benchmarks.latency, which feeds
it the frames that our pipeline sees, in turn; runs in the environment that mediapipe_hands.py describes.

    mediapipe_env/bin/python benchmarks/latency/mediapipe_frames.py WIDTH HEIGHT MAX_HANDS
"""

import sys

import mediapipe
import numpy as np
from mediapipe_hands import look


def main() -> None:
    """Reads frames of WIDTH x HEIGHT x 3 bytes until the input ends; writes wall and processor time and the number of hands."""
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
