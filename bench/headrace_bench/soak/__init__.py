"""An hour of good traffic both ways in, beside everything hostile that is known, and kills."""
