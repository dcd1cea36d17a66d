"""The commands of `hf-msa`, one file each: parse, call, print."""
