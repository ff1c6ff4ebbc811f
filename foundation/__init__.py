"""What everything needs and nothing owns: errors, configs, registries, files, seeds; it knows no PyTorch."""
