"""Automatic search of attention modules."""
