"""Comparisons: cells that were found, random ones and controls, with several seeds each, under one recipe."""
