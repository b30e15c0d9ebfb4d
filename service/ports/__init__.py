"""What operations need from the world, as small Protocols that state obligations."""
