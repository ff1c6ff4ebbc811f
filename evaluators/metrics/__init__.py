"""Scores that are held to the official tools, one kind a file."""
