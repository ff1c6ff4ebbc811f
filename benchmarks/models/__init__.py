"""Which attention goes into which network, and what works there: the matrix of docs/models-matrix.md."""
