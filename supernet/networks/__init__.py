"""Networks of tasks beyond classification, of torchvision's maintained parts; new files are found."""
