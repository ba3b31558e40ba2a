"""The frame of the HTTP API: requests and answers, bodies, paging, the OpenAPI document."""
