"""SQL plumbing that knows no subject: columns, statements, pipelines."""
