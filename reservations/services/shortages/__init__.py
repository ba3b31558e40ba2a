"""Services of shortages and of the incidents that record them."""
