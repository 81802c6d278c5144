"""Command lines: `hand-mesh`, with one file per command or group, and the demo of the ROS graph. They call the other rooms."""
