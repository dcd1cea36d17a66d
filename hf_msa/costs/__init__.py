"""What a model costs: time, memory and FLOPs, measured beside the bare text model."""
