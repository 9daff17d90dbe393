"""The traces that a released file carries or leaves: signed credentials, perceptual hashes. Knows no Django."""
