"""A device without hardware: tensors that say they are elsewhere and are computed on the CPU.

It knows no float64, as Apple's MPS does not, and refuses to compute with tensors of two devices,
as every device does. What it is asked to compute is noted in `operations`. Its name is that of a
backend of torch that nothing here uses ("lazy"), so no library treats it specially.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

DEVICE = torch.device("lazy", 0)
# These take tensors of two devices: copies between them, and places given from the CPU.
_BETWEEN = ("_to_copy", "copy_", "index", "index_put_", "_index_put_impl_")


class FakeDevice(TorchDispatchMode):
    """Within, `tensor.to(DEVICE)` gives a tensor that lies on a device without float64."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[str] = []

    def __enter__(self) -> "FakeDevice":
        # Tensors from Python's lists are made on the CPU and moved by an operation that is seen.
        torch._C._set_only_lift_cpu_tensors(True)
        # A module's parameters stay the same objects when they move, so tied weights stay tied.
        torch.__future__.set_swap_module_params_on_conversion(True)
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        torch.__future__.set_swap_module_params_on_conversion(False)
        torch._C._set_only_lift_cpu_tensors(False)
        super().__exit__(*error)

    def __torch_dispatch__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        return _computed(func, args, kwargs or {}, self.operations)


class _OnDevice(torch.Tensor):
    """A tensor that holds another one, which lies on the CPU, and says that it is elsewhere."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> "_OnDevice":
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=DEVICE,
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(
        cls, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        return _computed(func, args, kwargs or {}, [])


def _computed(func: Callable, args: tuple, kwargs: dict, operations: list[str]) -> Any:
    name = func._schema.name.removeprefix("aten::")
    given = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, torch.Tensor)]
    there = [x for x in given if isinstance(x, _OnDevice)]
    strangers = [x for x in given if not isinstance(x, _OnDevice) and x.ndim]
    if there and strangers and name not in _BETWEEN:
        raise RuntimeError(f"{name}: tensors on {DEVICE} and on the CPU")
    wanted = kwargs.get("device")
    elsewhere = bool(there) if wanted is None else torch.device(wanted).type == DEVICE.type
    args_here, kwargs_here = tree_map(_held, (args, kwargs))
    if wanted is not None:
        kwargs_here["device"] = torch.device("cpu")
    found = func(*args_here, **kwargs_here)
    if there:
        operations.append(name)
    if name == "_local_scalar_dense" or not elsewhere or not func._schema.returns:
        return found
    if name.endswith("_"):
        return args[0]  # changed in its place
    return tree_map(lambda x: _moved(x, name), found)


def _held(value: Any) -> Any:
    return value.held if isinstance(value, _OnDevice) else value


def _moved(value: Any, name: str) -> Any:
    if not isinstance(value, torch.Tensor) or isinstance(value, _OnDevice):
        return value
    if value.dtype == torch.float64:
        raise TypeError(f"{name}: this device has no float64")
    return _OnDevice(value)
