"""What is watched while the engine decides: drift of its inputs, and how its approvals turn out."""
