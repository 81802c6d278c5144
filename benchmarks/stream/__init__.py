"""The real ROS graph under load: a video comes in, rates, ages and memory go out."""
