"""Slack: outbox bodies rendered as Block Kit, delivered by slack-sdk, answered by Socket Mode."""
