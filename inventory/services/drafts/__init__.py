"""Services of drafts: lines that are scanned or typed one after the other, and posted once."""
