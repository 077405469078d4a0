"""Questions of the dashboards, asked of real datasources."""
