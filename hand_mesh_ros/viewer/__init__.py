"""Shows hands without ROS. Input: estimates. Output: a browser page, and images with an overlay.

`page.py` joins the parts of the page: `panel.py` (controls), `hand_scene.py` and `surroundings.py` (3D scene), `view_point.py`
(position of the browser's camera), `history.py` (plots), `playback.py` (pause, step, record) and `live_settings.py` (settings of
the chain).
"""
