"""The network that is searched, and the network that is found."""
