"""Who holds it, until when; and whatever needs stock and holds."""
