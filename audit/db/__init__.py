"""General SQL code, independent of any table: array columns, composed statements, pipelines."""
