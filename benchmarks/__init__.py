"""Scripts that print figures; none of them fails on time."""
