"""How good it is: cost, data, tasks and the one training loop."""
