"""Estimates come in. A page in the browser and pictures with an overlay go out. Needs no ROS."""
