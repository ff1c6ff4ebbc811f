"""Scores whose definition is not ours."""
