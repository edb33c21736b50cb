"""PyTorch: tempscale inside a torch.nn.Module, trained by torch.optim, eager or under torch.compile."""

from __future__ import annotations

import numpy as np
import torch
from _digits import CLASSES, INITIAL_TEMPERATURE, PIXELS, SMOOTHING, arguments, batches, load, mish, report

import tempscale

EPOCHS = 12


class Classifier(torch.nn.Module):
    """A perceptron with one hidden layer, and a temperature that is learnt with the weights."""

    def __init__(self, hidden: int = 128) -> None:
        super().__init__()
        self.hidden = torch.nn.Linear(PIXELS, hidden)
        self.output = torch.nn.Linear(hidden, CLASSES)
        # the logarithm is what is learnt: no step of the optimiser can make the temperature negative
        self.log_temperature = torch.nn.Parameter(torch.tensor(INITIAL_TEMPERATURE).log())

    @property
    def temperature(self) -> torch.Tensor:
        return self.log_temperature.exp()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the log-probability of each class."""
        logits = self.output(mish(self.hidden(images)))
        return tempscale.log_softmax(logits, temperature=self.temperature)


def loss_of(log_p: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy; log-probabilities are logits too, and their softmax is the probabilities themselves."""
    return tempscale.cross_entropy(log_p, labels, label_smoothing=SMOOTHING)


def train(model: Classifier, epochs: int, seed: int, compiled: bool = False) -> None:
    digits = load()
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    # one graph, which shares its parameters with the model
    predict = torch.compile(model, fullgraph=True) if compiled else model
    for epoch in range(1, epochs + 1):
        losses = []
        for images, labels in batches(digits, rng):
            optimizer.zero_grad()
            loss = loss_of(predict(torch.from_numpy(images)), torch.from_numpy(labels))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        report(epoch, float(np.mean(losses)), model.temperature.item())


def accuracy(model: Classifier) -> float:
    digits = load()
    with torch.no_grad():
        predicted = model(torch.from_numpy(digits.test_images)).argmax(dim=-1)
    return float(np.mean(predicted.numpy() == digits.test_labels))


def main(epochs: int = EPOCHS, seed: int = 0, compiled: bool = False) -> float:
    """Train, print the progress, and return the accuracy on digits that were not trained on."""
    torch.manual_seed(seed)
    model = Classifier()
    train(model, epochs, seed, compiled)
    result = accuracy(model)
    print(f"test accuracy {result:.4f}")
    return result


if __name__ == "__main__":
    parser = arguments(__doc__, EPOCHS)
    parser.add_argument("--compile", action="store_true", help="train under torch.compile")
    given = parser.parse_args()
    main(given.epochs, given.seed, given.compile)
