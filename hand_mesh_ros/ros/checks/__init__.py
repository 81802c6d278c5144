"""The messages of some seconds come in. Findings go out: what is wrong with the inputs of hand_mesh_node, and the cure."""
