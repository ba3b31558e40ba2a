"""Services of events of orders and products that other systems send."""
