"""The routes of shortage incidents."""
