"""Calibration: what an engine logged when it started, beside what the plan predicted. Floors 4 and 5, pure but for the logs."""
