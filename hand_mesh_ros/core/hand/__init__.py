"""The parametric hand model: surface, joints, joint angles and axes. The input is a model file."""
