"""Settings, routes, processes, the embedded servers, and the table of errors and their statuses."""
