"""Measures which small, dark or covered hands the detector finds, how fast, and false hands. Output: docs/reach.md."""
