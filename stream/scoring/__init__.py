"""From records to a score with reasons: features, manifest, scorecard."""
