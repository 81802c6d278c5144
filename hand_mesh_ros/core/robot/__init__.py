"""Computes robot inputs from estimates: grasp cues, capsules, estimates in other frames, and the selected hands."""
