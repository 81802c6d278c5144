"""Services and the action of the node. Requests come in. Answers go out."""
