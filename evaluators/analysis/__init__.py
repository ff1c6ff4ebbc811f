"""What a trained network learnt: selectivity of its stages, saliency, gates, edges, features."""
