"""Parts of layers in fewer operations: norms, gates, MLPs; used where a trial finds them to compute the same."""
