"""Identity provider adapters. Imports nothing of the broker."""
