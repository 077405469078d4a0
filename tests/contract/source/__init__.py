"""Every record source, held to one behaviour."""
