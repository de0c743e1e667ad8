"""One network in several processes, through skorch's AccelerateMixin: what they tell each other.

Every process holds all data and the whole network, and draws the same numbers. Of each batch it
takes a share; accelerate averages the gradients. Without the mixin, or in one process, nothing here
does anything.
"""

from collections.abc import Iterable
from typing import Any

import torch
from skorch import NeuralNetClassifier
from skorch.hf import AccelerateMixin
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sk_ils._samples import SampleSet, Share

# Sums over the same rows differ by round-off at most, if processors differ.
_SAME = 1e-6


def share_of(net: Any) -> Share | None:
    """Return which rows of each batch are this process's, None if all are."""
    if _accelerator_of_several(net) is None:
        return None
    return Share(torch.distributed.get_rank(), torch.distributed.get_world_size())


def is_first(net: Any) -> bool:
    """Return whether this process speaks for all that train a network."""
    share = share_of(net)
    return share is None or share.rank == 0


def check_accelerator(net: Any) -> None:
    """Raise unless the mixin trains the network by its own steps, in processes with all of it."""
    if not isinstance(net, AccelerateMixin):
        return
    if super(AccelerateMixin, net).train_step_single.__func__ is not NeuralNetClassifier.train_step_single:
        raise TypeError(
            f"AccelerateMixin never calls the train_step_single that {type(net).__name__} has behind it: "
            "define it in the class that names the mixin first, with accelerator.backward."
        )
    accelerator, share = net.accelerator, share_of(net)
    if accelerator.num_processes > 1 and share != (accelerator.process_index, accelerator.num_processes):
        raise ValueError(
            f"The accelerator is that of process {accelerator.process_index} of {accelerator.num_processes}, "
            "but this is another process. Workers of n_jobs cannot train with it: leave n_jobs=None. A "
            "network out of a pickle needs set_params(accelerator=Accelerator()) before it is trained on."
        )
    kind = accelerator.distributed_type.value
    if kind != "NO" and not kind.startswith("MULTI_"):
        raise ValueError(
            f"The accelerator distributes by {kind}, which splits a network or keeps it elsewhere. Configure "
            "it for plain data parallelism: several GPUs or CPUs, each with a whole network."
        )


def check_same_data(net: Any, train: SampleSet, valid: SampleSet | None) -> None:
    """Raise in every process if one of them was given other rows than the others."""
    accelerator = _accelerator_of_several(net)
    if accelerator is None:
        return
    own = [len(net.classes_), *_checksums(train), *_checksums(valid)]
    of_all = accelerator.gather(torch.tensor([own], dtype=torch.float64, device=accelerator.device)).cpu()
    if not torch.allclose(of_all, of_all[:1], rtol=_SAME, atol=_SAME):
        raise ValueError(
            "The processes were given different data: pass all rows of X, y and sample_weight, in the same "
            "order, in every process. Each takes its share of every batch by itself."
        )


def _checksums(samples: SampleSet | None) -> list[float]:
    if samples is None:
        return [0.0] * 5
    X, y, weight = samples.X, samples.y_encoded.double(), samples.weight
    return [
        len(samples),
        X.numel() if isinstance(X, Tensor) else 0,
        float(X.sum(dtype=torch.float64) / max(X.numel(), 1)) if isinstance(X, Tensor) else 0.0,
        float((y * torch.arange(len(y), device=y.device)).mean()),
        0.0 if weight is None else float((weight * (y + 1)).mean()),
    ]


def agreed(net: Any, number: float) -> float:
    """Return the first process's number in all of them."""
    accelerator = _accelerator_of_several(net)
    if accelerator is None:
        return number
    return float(_from_first(accelerator, torch.tensor([number], dtype=torch.float64)))


def any_process(net: Any, answer: bool) -> bool:
    """Return whether the answer is yes in any process."""
    accelerator = _accelerator_of_several(net)
    if accelerator is None:
        return answer
    return bool(accelerator.reduce(torch.tensor([float(answer)], device=accelerator.device), "sum") > 0)


def mean_of_processes(net: Any, values: Tensor) -> Tensor:
    """Return the mean over all processes of what each has."""
    accelerator = _accelerator_of_several(net)
    if accelerator is None:
        return values
    mean: Tensor = accelerator.reduce(values.to(accelerator.device), "mean")
    return mean


def all_rows(net: Any, output: Any, share_size: int, n_rows: int) -> Any:
    """Return the output of a whole batch of `n_rows` rows, out of each process's for its share.

    What has no row for each sample stays as it is.
    """
    if isinstance(output, tuple | list):
        return type(output)(all_rows(net, part, share_size, n_rows) for part in output)
    if isinstance(output, dict):
        return {name: all_rows(net, part, share_size, n_rows) for name, part in output.items()}
    if not isinstance(output, Tensor) or output.shape[:1] != (share_size,):
        return output
    gathered = net.accelerator.gather(output.to(net.accelerator.device))
    return gathered.unflatten(0, (-1, share_size)).transpose(0, 1).flatten(0, 1)[:n_rows]


def spread_buffers(net: Any, parts: Iterable[nn.Module]) -> None:
    """Give every process the buffers of the first one, such as the statistics of BatchNorm."""
    if _accelerator_of_several(net) is None:
        return
    from accelerate.utils import broadcast

    broadcast([buffer for part in parts for buffer in part.buffers() if buffer.is_floating_point()])


def leave_untrained_alone(net: Any, parts: Iterable[nn.Module]) -> None:
    """Tell accelerate that parts without weights need no wrapper: on CPUs it does not see that."""
    accelerator = _accelerator_of_several(net)
    if accelerator is not None and accelerator.device.type == "cpu":
        for part in parts:
            if not any(parameter.requires_grad for parameter in part.parameters()):
                part._is_accelerate_prepared = True  # type: ignore[assignment]


def wrap(net: Any, *, anew: bool = False) -> None:
    """Let accelerate wrap what is trained, unless it is wrapped, or anew if it was rebuilt."""
    if isinstance(net, AccelerateMixin):
        if anew:
            forget_wrapping(net)
        net._initialize_accelerator()


def unwrap(net: Any) -> None:
    """Take off what accelerate wrapped around a network that is not trained now."""
    if isinstance(net, AccelerateMixin):
        net._unwrap_accelerator()


def forget_wrapping(net: Any) -> None:
    """Let the next network be wrapped, whatever became of the one before."""
    if isinstance(net, AccelerateMixin):
        net._wrapped_with_accelerator = False


def unwrapped(module: nn.Module) -> nn.Module:
    """Return a module without what averages its gradients, and lets a call wait for the others."""
    inner: nn.Module = module.module if isinstance(module, DistributedDataParallel) else module
    return inner


def random_device(net: Any) -> Any:
    """Return the device whose random numbers a network draws: accelerate's, if it places it."""
    if isinstance(net, AccelerateMixin) and net.device is None:
        return net.accelerator.device
    return net.device


def _accelerator_of_several(net: Any) -> Any:
    """Return the accelerator of a network that several processes train, None of any other.

    What comes out of a pickle remembers the processes that it was trained by, and may now be alone.
    """
    if isinstance(net, AccelerateMixin) and net.accelerator.num_processes > 1 and _is_one_of_several():
        return net.accelerator
    return None


def _is_one_of_several() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _from_first(accelerator: Any, values: Tensor) -> Tensor:
    from accelerate.utils import broadcast

    sent: Tensor = broadcast(values.to(accelerator.device))
    return sent.cpu()
