"""Configuration: one TOML file, overridden by environment variables; refuses what it does not know, hides secrets.

Read once at start. `ROLLWATCH_KAFKA__GROUP_ID` is `group_id` in the table `[kafka]`; each secret may also come from
a file (`ROLLWATCH_PEPPER_FILE`, `pepper_file = "…"`), as container platforms mount them.
"""

from monitor.config.loading import load_settings, read_secret
from monitor.config.sections import KafkaClient, LogFormat, LogLevel
from monitor.config.settings import Setting, Settings, known_names, masked_url, printable, variable_of
from monitor.config.topics import Topic, parse_topics

__all__ = [
    "KafkaClient",
    "LogFormat",
    "LogLevel",
    "Setting",
    "Settings",
    "Topic",
    "known_names",
    "load_settings",
    "masked_url",
    "parse_topics",
    "printable",
    "read_secret",
    "variable_of",
]
