"""Scripts that let a peer do the same work; each runs with that peer on its path, in a process."""
