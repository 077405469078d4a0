"""From alerts to people: who is told, when, in which words, and that it arrives. Last step of the path.

`Notifier` turns a tick's alerts into rows of the outbox, in the transaction of what caused them; `Sender` takes them
out and hands them to a courier (`monitor.adapters.slack`, `monitor.adapters.webhook`), at least once.
"""
