"""What a trained model does when something is wrong with a stream: one probe per file."""
