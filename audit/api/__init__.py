"""The base of the HTTP API: views, requests and answers, contract types, paging, the OpenAPI document."""
