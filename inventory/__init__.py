"""What is where: products, warehouses, stores, stock levels and their movements."""
