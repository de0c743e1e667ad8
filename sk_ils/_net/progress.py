"""What a network shows of its training while it lasts: a bar, or a table."""

from typing import Any, Self

from skorch.callbacks import PrintLog
from tqdm.auto import tqdm

# From this `verbose` on a table is printed; below it is a bar, and nothing at 0.
_TABLE = 2
_FORMAT = "{desc} {percentage:3.0f}%|{bar}| epoch {n}/{total} [{elapsed}<{remaining}{postfix}]"


class EpochBar:
    """A bar on stderr that counts the epochs of one training.

    Parameters
    ----------
    name : str
        Of the network.
    n_epochs : int
        How many there are at most.
    verbose : int
        That of the network: only at 1 there is a bar.
    """

    def __init__(self, name: str, n_epochs: int, verbose: int) -> None:
        self.bar: Any = None
        if 0 < verbose < _TABLE:
            self.bar = tqdm(
                total=n_epochs,
                desc=name,
                bar_format=_FORMAT,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def update(self, train_loss: float | None, valid_loss: float | None, best_epoch: int) -> None:
        """Count an epoch, and show its loss and which epoch would be kept now."""
        if self.bar is None:
            return
        text = f"train loss {train_loss:.4g}" if valid_loss is None else f"valid loss {valid_loss:.4g}"
        self.bar.set_postfix_str(f"{text}, best epoch {best_epoch}", refresh=False)
        self.bar.update()

    def finish(self) -> None:
        """Show that the training is complete, also if it stopped early."""
        if self.bar is not None:
            self.bar.total = self.bar.n
            self.bar.refresh()


class QuietPrintLog(PrintLog):
    """skorch's table of epochs, under the network's name, formatted only if it is printed."""

    def _is_seen(self, net: Any) -> bool:
        # skorch's AccelerateMixin prints in the main process only.
        stock = print, getattr(getattr(net, "accelerator", None), "print", print)
        return net.verbose >= _TABLE or self.sink not in stock

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Print which network the next lines are of."""
        if self._is_seen(net):
            self.sink(net.network_name)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Print the line of an epoch, unless nobody would see it."""
        if self._is_seen(net):
            super().on_epoch_end(net, **kwargs)
