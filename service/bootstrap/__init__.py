"""One small module a kind of process: the only place that knows every concrete class."""
