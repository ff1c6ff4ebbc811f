"""The commands, one a file: arguments in, answer on standard output."""
