"""What all figures share: style, scales, panels, captions, and the file they end in."""
