"""The same service as an ordinary good engineer writes it: Django's ORM, DRF's serializers, DRF's tokens."""
