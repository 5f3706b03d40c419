"""From YAML to a checked configuration: the schema, composition by Hydra, conventions filled in, checks."""
