"""Points, rays, rotations and cameras as arrays: pure functions that know no hand and no model."""
