"""Text as detectors read it: written plainly, with the way back to the original's places."""
