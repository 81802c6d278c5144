"""The node `hand_mesh_node`: its life, its parameters, and what runs while it is active."""
