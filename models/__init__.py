"""Failed-rollover detection: features, detector, calibration, causes. Knows nothing of monitor, Kafka or SQL."""
