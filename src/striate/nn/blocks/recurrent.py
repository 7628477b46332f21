"""Recurrent layers: a state that is carried along time, which is the width of a map."""

from typing import Any

from torch import Generator, Tensor, nn

from striate.base.choose import choose

CELLS: dict[str, Any] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class Recurrent(nn.Module):
    """torch's RNN, LSTM or GRU over the width: (N, c_in, H, W) -> (N, width, H, W), the state after each step.

    Each row of a map is a sequence of its own; a series has one.

    Args:
        cell: "rnn" (tanh), "lstm" or "gru".

    Reference: Elman, Finding Structure in Time, 1990; Hochreiter and Schmidhuber, Long Short-Term Memory, 1997;
    Cho et al., arXiv:1406.1078. The forget gate of an LSTM starts open (Jozefowicz et al., 2015, section 2.2).

    Example:
        >>> import torch
        >>> Recurrent(3, 8, cell="gru")(torch.zeros(2, 3, 1, 20)).shape
        torch.Size([2, 8, 1, 20])
    """

    def __init__(self, c_in: int, width: int, *, cell: str = "lstm") -> None:
        super().__init__()
        self.rnn = choose("cell", cell, CELLS)(c_in, width, batch_first=True)

    def initialise(self, generator: Generator) -> None:
        """Start as torch does, uniform in +-1 / sqrt(width), with biases of 0, and of 1 for an LSTM's forget gate."""
        reach = self.rnn.hidden_size**-0.5
        for name, value in self.rnn.named_parameters():
            if name.startswith("weight"):
                nn.init.uniform_(value, -reach, reach, generator=generator)
            else:
                nn.init.zeros_(value)
        if isinstance(self.rnn, nn.LSTM):  # gates are input, forget, cell, output
            bias, width = self.rnn.get_parameter("bias_ih_l0"), self.rnn.hidden_size
            nn.init.ones_(bias.data[width : 2 * width])

    def forward(self, x: Tensor) -> Tensor:
        n, _, height, _ = x.shape
        steps = x.permute(0, 2, 3, 1).flatten(0, 1)  # (N x H, W, C)
        # torch keeps a list of the weights beside them, which is stale where others are put in their place for a call
        self.rnn._flat_weights = [getattr(self.rnn, name) for name in self.rnn._flat_weights_names]
        states, _ = self.rnn(steps)
        out: Tensor = states.unflatten(0, (n, height)).permute(0, 3, 1, 2)
        return out


class LastStep(nn.Module):
    """What a map says at the end of time: (N, C, H, W) -> (N, C), the last column; of several rows the mean.

    Example:
        >>> import torch
        >>> LastStep(1)(torch.arange(3.0).view(1, 1, 1, 3))
        tensor([[2.]])
    """

    def __init__(self, c_in: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, :, -1].mean(2)
