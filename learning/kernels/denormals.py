"""Numbers below 1e-38 count as zero while a kernel runs: what decays for hundreds of steps gets there, and costs 100x.

The switch is a register of the processor's own, put back at the end of a kernel, so that nothing else is affected.
Other processors than x86 keep computing with such numbers.
"""

import platform

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

_X86 = platform.machine().lower() in ("x86_64", "amd64")

# MXCSR: flush results to zero, and take operands as zero.
_ZERO = 0x8040


@intrinsic
def _get_mode(typing):  # noqa: ANN001, ANN202  (the signature is Numba's)
    def code(context, builder, signature, arguments):  # noqa: ANN001, ANN202
        place = cgutils.alloca_once(builder, ir.IntType(32))
        _instruction(builder, "llvm.x86.sse.stmxcsr", place)
        return builder.load(place)

    return types.int32(), code


@intrinsic
def _set_mode(typing, mode):  # noqa: ANN001, ANN202
    def code(context, builder, signature, arguments):  # noqa: ANN001, ANN202
        place = cgutils.alloca_once_value(builder, arguments[0])
        _instruction(builder, "llvm.x86.sse.ldmxcsr", place)
        return context.get_dummy_value()

    return types.void(types.int32), code


def _instruction(builder: ir.IRBuilder, name: str, place: ir.Value) -> None:
    kind = ir.FunctionType(ir.VoidType(), [place.type])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [place])


if _X86:

    @njit(nogil=True)
    def flush_denormals() -> int:
        """Count denormal numbers as zero from now on, in this thread; returns the mode before."""
        before = _get_mode()
        _set_mode(types.int32(before | _ZERO))
        return before

    @njit(nogil=True)
    def restore(before: int) -> None:
        """Put the mode back that `flush_denormals` found."""
        _set_mode(types.int32(before))

else:

    @njit(nogil=True)
    def flush_denormals() -> int:
        """Nothing: this processor has no such switch that we know of."""
        return 0

    @njit(nogil=True)
    def restore(before: int) -> None:
        """Nothing."""
