"""What a terminal shows: tables, lines and a progress bar."""
