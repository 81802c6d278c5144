"""The benchmark of faults for 40 s: the node reports each fault, recovers, and finds the hand."""

import re
import subprocess
import sys

from graph import ROOT

# The first faults of this seed are of seven kinds: subscribers, camera, rate of depth, bytes, size of depth, calibration, clock.
SECONDS, SEED = 40, 14133


def test_faults_one_after_the_other_are_named_and_the_hand_is_found_between_them() -> None:
    command = [sys.executable, "-m", "benchmarks.stream.faults", "--minutes", f"{SECONDS / 60:.3f}", "--seed", str(SEED)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = re.findall(r"^\| (.+?) \| (\d+) \|.* (\d+) \|$", done.stdout, re.MULTILINE)
    assert sum(int(times) for _, times, _ in rows) >= 5, done.stdout
    assert all(failed == "0" for *_, failed in rows)
