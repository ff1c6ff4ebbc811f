"""The cell as one operator in C++."""
