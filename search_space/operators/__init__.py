"""The attention operators, one idea a file; a new file here is found by itself."""
