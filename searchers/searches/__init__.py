"""Searches under way, which configs start: these load torch, which configs and their help do not."""
