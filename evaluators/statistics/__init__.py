"""What scores of several searches and several trainings allow one to say: intervals, tests, power."""
