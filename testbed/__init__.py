"""What the tests and the measurements both need: services as processes, clusters, waiting."""
