"""Metrics for Prometheus.

``definitions`` has every metric once: name, labels, help, buckets. Code counts with them:

    RESERVATION_CREATED.add(3)                 # now
    RESERVATION_CREATED.add_after_commit(3)    # once the transaction is committed, and not at all if it isn't
    BATCH_SIZE.observe(17)

If ``METRICS_PORT`` isn't set, such a call looks up an attribute and does nothing else. If it is, ``store.begin`` gives
each process files of its own in ``METRICS_DIR``; ``reading`` adds up those of all processes of the machine, ended ones
included. ``config/metrics`` serves the sums over HTTP.
"""
