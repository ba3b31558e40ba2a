"""Settings, routes, the embedded servers and the one table of errors."""
