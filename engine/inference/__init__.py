"""From prepared requests to outputs: encoding, generation and what they share."""
