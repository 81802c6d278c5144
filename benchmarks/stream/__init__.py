"""Measures the real ROS graph under load. Input: a video. Output: rates, ages and memory."""
