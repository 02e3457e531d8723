"""Runs as traces and metrics of OpenTelemetry; needs the extra ``otel``. It observes; runs know nothing of it."""
