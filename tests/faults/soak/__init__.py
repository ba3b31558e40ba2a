"""A soak test: a service under load whose processes and database are killed at random moments, and checked after each.

``python -m tests.faults.soak --faults 100 --seconds 1800 --seed 1`` (``make soak``) runs:

- PostgreSQL and Redis of its own, a web server, four relays and two consumers of incoming events;
- callers who hold, extend, release, sell, fill carts, adjust and transfer by HTTP, and send the events of orders by
  HTTP and by a Redis stream, each several times;
- faults: kill -9 of two of the relays, of a consumer or of the web server, and an immediate stop of PostgreSQL.

After each fault the callers finish, and ``checks`` compares what there is with two replicas (``copies``): one made of
the feed alone, one of the Redis stream alone.
"""
