"""What all figures share: style, scales, panels, captions, and saving."""
