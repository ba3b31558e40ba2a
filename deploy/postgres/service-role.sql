-- Run by the image of PostgreSQL, as its superuser, when the cluster is first made: the service gets an ordinary role
-- that owns one database. The superuser keeps no password: it connects from inside the container alone
-- (`docker compose exec postgres psql --username postgres`).
\getenv password POSTGRES_PASSWORD
CREATE ROLE inventory LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'password';
CREATE DATABASE inventory OWNER inventory;
REVOKE ALL ON DATABASE inventory FROM PUBLIC;
ALTER ROLE CURRENT_USER PASSWORD NULL;
