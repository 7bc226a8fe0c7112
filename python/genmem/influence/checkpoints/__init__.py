"""Moments of a training: what they hold, how they are loaded, and how much each counts."""
