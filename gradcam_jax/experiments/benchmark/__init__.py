"""Times this project and its peers on the same work: each in its own process, taking turns."""
