"""What people really bring: files, folders, moments and machines that are nearly right, each tried.

    python -m benchmarks.field
    python -m benchmarks.field --only D E

A kind is a way in which something is nearly right; a case is one instance of it, made on the fly; a column is
the task or command that it is given to. Each cell runs the real command and holds what comes of it against
what should: the right value, or exit code 2 with a line that names the culprit and nothing half-written.
"""
