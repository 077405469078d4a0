"""The HTTP side: routes, schemas, auth, status page."""
