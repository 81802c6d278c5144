"""The node `hand_mesh_node`: lifecycle, parameters, and the code that runs while the node is active."""
