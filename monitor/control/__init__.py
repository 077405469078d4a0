"""What people and the watch loop do to rollovers: decide, step, retire, waive. One place for HTTP, CLI and daemon."""
