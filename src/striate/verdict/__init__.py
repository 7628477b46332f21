"""The verdict of a study: comparisons, what they mean, and sentences made from them."""
