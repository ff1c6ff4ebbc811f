"""What can be found: genotypes, spaces, the cell and its attention operators."""
