"""What the integration tests stand on: the daemon, its clients and its next hops."""
