"""An estimate comes in. What robots use goes out: grasp cues, capsules, other frames, and which hand may act."""
