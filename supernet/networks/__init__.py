"""Networks for tasks other than classification, each on a backbone with attention; one network a file."""
