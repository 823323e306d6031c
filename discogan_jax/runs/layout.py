"""What lies where in a run directory."""

CONFIG_FILE = "config.json"
VERSIONS_FILE = "versions.json"
METRICS_FILE = "metrics.jsonl"
EVALUATION_FILE = "evaluation.json"
REPORT_FILE = "report.html"
CHECKPOINTS = "checkpoints"
SAMPLES = "samples"
