"""What the page and the prediction server share: sockets, who may ask and how much, what answers look like."""
