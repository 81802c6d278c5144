"""The parametric hand: its surface, its joints, its angles and its axes. Model files in, facts about hands out."""
