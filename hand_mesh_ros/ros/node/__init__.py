"""The node `hand_mesh_node`: its lifecycle, its parameters, and the code that runs while the node is active."""
