"""Scores of untrained networks, which rank candidates in place of a training.

Each is a function of a new network and a batch of images, on one device and of one number type, and leaves
the network as it was. Higher is meant to be better. What is random in them comes from torch's random state.
"""
