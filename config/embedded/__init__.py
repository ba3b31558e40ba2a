"""A private PostgreSQL and Redis for machines that have none.

`urls()` makes sure that servers for a data folder are running and joins the calling process to them. They belong to
a small supervisor process, one per data folder, which stops them about a second after its last client has gone:

    client, client, …  --control socket, held open for life-->  supervisor  --children-->  postgres, redis-server

The kernel closes a client's connection however it dies, and on Linux it ends the servers if the supervisor is killed,
so that nothing is left behind. Starting is serialised by a lock on `embedded.lock` which the starting client hands
down to the supervisor; the supervisor keeps it until it has stopped everything.

In the data folder:

    postgres/                      the database cluster, kept between starts
    postgres.log, redis.log, supervisor.log
                                   logs; a full one is kept once as `*.log.1`
    embedded.lock                  locked while a supervisor lives
    embedded.json                  while servers run: `supervisor_pid`, `postgres_pid` and `redis_pid` (null when not
                                   started), `postgres_data` (folder of the cluster), `socket_dir` (host for psql),
                                   `user`, `database`

PostgreSQL refuses to run as root: there both servers run as `nobody`, or as the owner of a cluster that exists. What
`nobody` cannot reach (programs or data below a private folder) is put under /var/lib/inventory-embedded instead;
permissions of existing folders are never widened.
"""

from config.embedded.clients import leave, urls
from config.embedded.places import DATABASE, USER, EmbeddedUnavailable, ServerPaths, Urls
from config.embedded.servers import POSTGRES_MAJOR

__all__ = [
    "DATABASE",
    "POSTGRES_MAJOR",
    "USER",
    "EmbeddedUnavailable",
    "ServerPaths",
    "Urls",
    "leave",
    "urls",
]
