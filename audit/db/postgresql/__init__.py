"""The database engine of the settings: Django's for PostgreSQL, with connections that end soon after their peer."""
