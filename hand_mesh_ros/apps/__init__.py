"""Command lines come in, calls of other rooms go out: `hand-mesh`, one file a command or group, and the demo of the ROS graph."""
