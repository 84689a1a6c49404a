"""The kernel that walks Avro bytes by an op table and writes the fields we keep into structured-array rows.

One generic kernel serves every schema: `avro.py` compiles a writer's schema into a table of ops (one row an op, the
columns named below), so that a new schema costs a millisecond and no compilation of code. Positions are addresses;
every read is preceded by a check against the end of the record, every store goes to an offset that the compiler of the
table took from the numpy dtype of the target.

Each op either consumes at least one byte or moves forward in the table, so that the time is linear in the record.
Numba's disk cache looks at this file's time stamp alone: constants that the kernel uses stay in this file.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from lasair.times import SECONDS_A_DAY, TAI_MINUS_UTC_S

# --- columns of the op table -------------------------------------------------------------------------------------
CODE = 0
NULLS = 1  # -1: not nullable; 0: union [null, T]; 1: union [T, null]
DEST = 2  # 0: alert row, 1: light-curve row
OFFSET = 3  # byte offset in the target
A = 4
B = 5
PEEK = 6  # 1: the same bytes are read again by the next op
MISSING = 7  # 1: compare with the `missing` table
WIDTH = 8

# --- codes: skipping ---------------------------------------------------------------------------------------------
SKIP_FIXED = 0  # A bytes
SKIP_NULLABLE_FIXED = 1  # B fields of 1 + A bytes, or 1 byte when null
SKIP_VARINT = 2  # B numbers
SKIP_NULLABLE_VARINT = 3  # B numbers
SKIP_BYTES = 4  # length and bytes
# --- codes: storing ----------------------------------------------------------------------------------------------
COPY4 = 5
COPY8 = 6
INT8 = 7  # varint to int64
VALUE = 8  # number of kind A to the form B
TEXT = 9  # to the form B, at most A bytes
SLICE = 10  # remember where the bytes lie, as cutout A
# --- codes: structure --------------------------------------------------------------------------------------------
IF_NULL = 11  # jump A ops when null
# A: op distance to behind its end, B: stack slot, OFFSET: least bytes an item, DEST: 1 when items are skipped whole
ARRAY = 12
ARRAY_END = 13  # A: op distance back to the first op of the item, B: slot, OFFSET as in ARRAY
UNION = 14  # A branches; the next A ops are JUMPs
JUMP = 15  # A ops
MARK = 16  # write 1 to a byte
ROW = 17  # a new light-curve row; A: 1 when it is the alert's own detection
ROW_END = 18  # A: kind of row, or AUTO
END = 19

# --- A of VALUE
FROM_FLOAT, FROM_DOUBLE, FROM_LONG, FROM_BOOL = 0, 1, 2, 3
# --- B of VALUE
TO_F4, TO_F8, TO_I1, TO_U1, TO_I2, TO_I4, TO_I8, TO_MJD, TO_FID, TO_SENT, TO_MJD_MICROS = range(11)
# --- B of TEXT
TO_TEXT, TO_WHOLE_TEXT, TO_BAND, TO_SIGN, TO_DIGITS = 0, 1, 2, 3, 4
# --- A of ROW_END beside the kinds 0, 1, 2
AUTO = 3  # forced when a forced flux was sent, else a non-detection when there is no id
TRIGGER = 4

# --- what `walk` returns -----------------------------------------------------------------------------------------
GOOD = 0
TRUNCATED = 1
BAD_BRANCH = 2
BAD_LENGTH = 3
BAD_COUNT = 4
BAD_VARINT = 5
TOO_MANY_ROWS = 6
LEFT_OVER = 7
TEXT_TOO_LONG = 8
OUT_OF_RANGE = 9
NO_TRIGGER = 10
NEED_SCRATCH = -1
NEED_ROWS = -2

REASONS = {
    TRUNCATED: "the packet ends too early",
    BAD_BRANCH: "no such branch of a union",
    BAD_LENGTH: "a text or byte string is longer than the packet",
    BAD_COUNT: "an array has more items than the packet has bytes",
    BAD_VARINT: "an integer of more than 64 bits",
    TOO_MANY_ROWS: "more history rows than the packet has room for",
    LEFT_OVER: "bytes are left over behind the last field",
    TEXT_TOO_LONG: "the text is too long",
    OUT_OF_RANGE: "the integer is out of range",
    NO_TRIGGER: "the packet has no detection",
}

#: UTC to TAI since 2017 [d]; ZTF's times are all later. After a leap second this file must be touched, see above.
TAI_UTC_D = TAI_MINUS_UTC_S / SECONDS_A_DAY
#: times outside 1990 to 2100 (MJD) are impossible for a survey of today
MJD_MIN, MJD_MAX = 47892.0, 88069.0
# bits of infinite numbers without their sign
_INFINITE4, _INFINITE8 = 0x7F800000, 0x7FF0000000000000
#: int64's "missing"
_NO_INT = -(2**63)

#: slots of the array stack; deeper schemas are refused when compiled
MAX_DEPTH = 8

# --- columns of `where`: byte offsets in a light-curve row, -1 when the survey has no such field -----------------
(W_MJD, W_KIND, W_ID, W_PROVENANCE, W_BAND, W_FIELD, W_RCID, W_RELIABILITY, W_SENT, W_SIZE, W_STRIDE) = range(11)
W_WIDTH = 11

# --- columns of `counts`
(C_DETECTIONS, C_NONDETECTIONS, C_FORCED, C_RELIABLE, C_TRIGGER, C_ROWS) = range(6)
C_WIDTH = 6


#: Where the bytes of a bytes object lie: they stay there while somebody holds the object.
address_of: Callable[[bytes], int] = ctypes.PYFUNCTYPE(ctypes.c_ssize_t, ctypes.py_object)(
    ("PyBytes_AsString", ctypes.pythonapi)
)


def _loader(bits: int, result: Any, llvm: Any, widen: bool) -> Any:
    def load(typingctx: Any, address: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer = builder.inttoptr(args[0], llvm.as_pointer())
            value = builder.load(pointer, align=1)
            return builder.zext(value, ir.IntType(64)) if widen else value

        return result(types.int64), codegen

    return intrinsic(load)


def _storer(argument: Any, llvm: Any, narrow: bool) -> Any:
    def store(typingctx: Any, address: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer = builder.inttoptr(args[0], llvm.as_pointer())
            builder.store(builder.trunc(args[1], llvm) if narrow else args[1], pointer, align=1)
            return context.get_dummy_value()

        return types.void(types.int64, argument), codegen

    return intrinsic(store)


@intrinsic  # type: ignore[untyped-decorator]
def trailing_zeros(typingctx: Any, word: Any) -> Any:
    """Number of zero bits below the lowest set bit; `word` is not 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), codegen


load_u1 = _loader(8, types.int64, ir.IntType(8), True)
load_u4 = _loader(32, types.int64, ir.IntType(32), True)
load_u8 = _loader(64, types.uint64, ir.IntType(64), False)
load_i8 = _loader(64, types.int64, ir.IntType(64), False)
load_f4 = _loader(32, types.float32, ir.FloatType(), False)
load_f8 = _loader(64, types.float64, ir.DoubleType(), False)
store_i1 = _storer(types.int64, ir.IntType(8), True)
store_i2 = _storer(types.int64, ir.IntType(16), True)
store_i4 = _storer(types.int64, ir.IntType(32), True)
store_i8 = _storer(types.int64, ir.IntType(64), False)
store_f4 = _storer(types.float32, ir.FloatType(), False)
store_f8 = _storer(types.float64, ir.DoubleType(), False)


@njit(cache=True, nogil=True)
def copy_bytes(source, target, size):  # type: ignore[no-untyped-def]
    """Copy `size` bytes between places that do not overlap."""
    done = 0
    while done + 8 <= size:
        store_i8(target + done, load_i8(source + done))
        done += 8
    while done < size:
        store_i1(target + done, load_u1(source + done))
        done += 1


_STOPS = np.uint64(0x8080808080808080)
_SEVEN = np.uint64(0x7F7F7F7F7F7F7F7F)
_ODD1, _EVEN1 = np.uint64(0x7F007F007F007F00), np.uint64(0x007F007F007F007F)
_ODD2, _EVEN2 = np.uint64(0x3FFF00003FFF0000), np.uint64(0x00003FFF00003FFF)
_ODD3, _EVEN3 = np.uint64(0x0FFFFFFF00000000), np.uint64(0x000000000FFFFFFF)
_ZERO, _ONE, _TWO, _FOUR = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(4)
_56, _63 = np.uint64(56), np.uint64(63)


@njit(cache=True, nogil=True)
def _squeeze(word):  # type: ignore[no-untyped-def]
    """The 56 bits in eight groups of seven, the lowest first."""
    word &= _SEVEN
    word = ((word & _ODD1) >> _ONE) | (word & _EVEN1)
    word = ((word & _ODD2) >> _TWO) | (word & _EVEN2)
    return ((word & _ODD3) >> _FOUR) | (word & _EVEN3)


@njit(cache=True, nogil=True)
def read_long(pos, end):  # type: ignore[no-untyped-def]
    """(value, position behind it) of a zig-zag number; the position is minus a reason when there is none."""
    value = _ZERO
    if end - pos >= 10:
        word = load_u8(pos)
        stops = ~word & _STOPS
        if stops != _ZERO:
            top = trailing_zeros(stops)
            value = _squeeze(word & ((_TWO << np.uint64(top)) - _ONE))
            pos += (top + 1) >> 3
        else:
            value = _squeeze(word)
            byte = load_u1(pos + 8)
            value |= np.uint64(byte & 127) << _56
            if byte < 128:
                pos += 9
            else:
                byte = load_u1(pos + 9)
                if byte > 1:
                    return np.int64(0), np.int64(-BAD_VARINT)
                value |= np.uint64(byte) << _63
                pos += 10
    else:
        shift = 0
        while True:
            if pos >= end:
                return np.int64(0), np.int64(-TRUNCATED)
            # fewer than ten bytes are left, so that the shift stays below 63
            byte = load_u1(pos)
            pos += 1
            value |= np.uint64(byte & 127) << np.uint64(shift)
            if byte < 128:
                break
            shift += 7
    return np.int64(value >> _ONE) ^ -np.int64(value & _ONE), pos


@njit(cache=True, nogil=True)
def skip_long(pos, end):  # type: ignore[no-untyped-def]
    """Position behind a number, or minus a reason."""
    if end - pos >= 10:
        stops = ~load_u8(pos) & _STOPS
        if stops != _ZERO:
            return pos + ((trailing_zeros(stops) + 1) >> 3)
    _, pos = read_long(pos, end)
    return pos


@njit(cache=True, nogil=True)
def is_null(pos, end, nulls):  # type: ignore[no-untyped-def]
    """(1 null or 0 not, position behind the branch number) of a union of null and something; see read_long."""
    if pos >= end:
        return np.int64(0), np.int64(-TRUNCATED)
    branch = load_u1(pos)
    pos += 1
    if branch != 0 and branch != 2:
        if branch < 128:
            return np.int64(0), np.int64(-BAD_BRANCH)
        # a number may be padded with empty groups; no writer does it, a reader must know it
        value, pos = read_long(pos - 1, end)
        if pos < 0:
            return np.int64(0), pos
        if value != 0 and value != 1:
            return np.int64(0), np.int64(-BAD_BRANCH)
        branch = value * 2
    return np.int64(branch == 2 * nulls), pos


@njit(cache=True, nogil=True)
def _store_number(address, form, number, integer):  # type: ignore[no-untyped-def]
    """Store a number in one of the forms TO_*; False when an integer does not fit.

    An infinite one is as good as missing: it comes of a division by zero upstream, and no database takes it.
    """
    if form == TO_F4:
        single = np.float32(number)
        if not np.isinf(single):
            store_f4(address, single)
    elif form == TO_F8:
        if not np.isinf(number):
            store_f8(address, number)
    elif form == TO_MJD:
        if not np.isinf(number):
            store_f8(address, number - 2400000.5 + TAI_UTC_D)
    elif form == TO_MJD_MICROS:
        # a date of 1970-01-01 says that nobody filled it in
        if integer != 0:
            store_f8(address, number / 86400e6 + 40587.0 + TAI_UTC_D)
    elif form == TO_I8:
        store_i8(address, integer)
    elif form == TO_I4:
        if integer < -(2**31) or integer >= 2**31:
            return False
        store_i4(address, integer)
    elif form == TO_I2:
        if integer < -(2**15) or integer >= 2**15:
            return False
        store_i2(address, integer)
    elif form == TO_I1:
        if integer < -(2**7) or integer >= 2**7:
            return False
        store_i1(address, integer)
    elif form == TO_U1:
        if integer < 0 or integer >= 2**8:
            return False
        store_i1(address, integer)
    elif form == TO_FID:
        code = 0
        if integer == 1:
            code = 103  # g
        elif integer == 2:
            code = 114  # r
        elif integer == 3:
            code = 105  # i
        store_i1(address, np.int64(code))
    elif form == TO_SENT and number == number:
        store_i1(address, np.int64(1))
    return True


@njit(cache=True, nogil=True)
def _store_text(address, form, room, pos, size):  # type: ignore[no-untyped-def]
    """Store text in one of the forms; False when it must be whole and is too long."""
    if form == TO_BAND:
        if size == 1:
            byte = load_u1(pos)
            if 97 <= byte <= 122:
                store_i1(address, byte)
    elif form == TO_SIGN:
        if size == 1:
            byte = load_u1(pos)
            if byte == 116 or byte == 49:  # t, 1
                store_i1(address, np.int64(1))
            elif byte == 102 or byte == 48:  # f, 0
                store_i1(address, np.int64(-1))
    elif form == TO_DIGITS:
        if 1 <= size <= 4:
            number = 0
            for k in range(size):
                byte = load_u1(pos + k)
                if byte < 48 or byte > 57:
                    return True
                number = number * 10 + byte - 48
            store_i2(address, np.int64(number))
    else:
        if size > room:
            if form == TO_WHOLE_TEXT:
                return False
            size = room
        for k in range(size):
            byte = load_u1(pos + k)
            # names are printable ASCII; anything else would break whoever decodes the text later
            store_i1(address + k, byte if 32 <= byte < 127 else np.int64(63))
    return True


@njit(cache=True, nogil=True)
def walk(  # type: ignore[no-untyped-def]
    ops, missing, pc, base, pos, end, alert, scratch, room, most_rows, where, template, fixes, stack, counts, cutouts
):
    """Walk one record. Returns (status, op, position).

    `pos`, `end`: addresses of the record's bytes; `base`: address that slices are counted from; `alert`: address of
    the alert's row; `scratch`: address of `room` light-curve rows, the first of which is the alert's own detection;
    `template`: address of a light-curve row that is missing throughout; `fixes`: (from, to, size) in a row of what
    changes when a history row turns out to be forced photometry, `from` negative for the template.
    """
    row = scratch
    n_rows = 1
    stride = where[W_STRIDE]
    trigger = 0
    while True:
        code = ops[pc, CODE]
        if code == SKIP_NULLABLE_FIXED:
            size = np.int64(ops[pc, A])
            left = np.int64(ops[pc, B])
            null = 2 * np.int64(ops[pc, NULLS])
            if end - pos >= left * (size + 1):
                strange = 0
                p = pos
                for _ in range(left):
                    branch = load_u1(p)
                    strange |= branch & 0xFD
                    p += 1 + (0 if branch == null else size)
                if strange == 0:
                    pos = p
                    pc += 1
                    continue
            for _ in range(left):
                gone, pos = is_null(pos, end, ops[pc, NULLS])
                if pos < 0:
                    return -pos, pc, end
                if not gone:
                    if end - pos < size:
                        return TRUNCATED, pc, pos
                    pos += size
        elif code in (COPY4, COPY8):
            start = pos
            gone = 0
            if ops[pc, NULLS] >= 0:
                gone, pos = is_null(pos, end, ops[pc, NULLS])
                if pos < 0:
                    return -pos, pc, end
            if not gone:
                target = (row if ops[pc, DEST] else alert) + ops[pc, OFFSET]
                if code == COPY4:
                    if end - pos < 4:
                        return TRUNCATED, pc, pos
                    bits = load_u4(pos)
                    if bits & 0x7FFFFFFF != _INFINITE4:
                        store_i4(target, bits)
                    pos += 4
                else:
                    if end - pos < 8:
                        return TRUNCATED, pc, pos
                    bits = load_i8(pos)
                    if bits & 0x7FFFFFFFFFFFFFFF != _INFINITE8:
                        store_i8(target, bits)
                    pos += 8
            if ops[pc, PEEK]:
                pos = start
        elif code == SKIP_FIXED:
            size = np.int64(ops[pc, A])
            if end - pos < size:
                return TRUNCATED, pc, pos
            pos += size
        elif code == SKIP_VARINT:
            for _ in range(ops[pc, B]):
                pos = skip_long(pos, end)
                if pos < 0:
                    return -pos, pc, end
        elif code == SKIP_NULLABLE_VARINT:
            for _ in range(ops[pc, B]):
                gone, pos = is_null(pos, end, ops[pc, NULLS])
                if pos >= 0 and not gone:
                    pos = skip_long(pos, end)
                if pos < 0:
                    return -pos, pc, end
        elif code in (SKIP_BYTES, TEXT, SLICE):
            start = pos
            gone = 0
            if ops[pc, NULLS] >= 0:
                gone, pos = is_null(pos, end, ops[pc, NULLS])
                if pos < 0:
                    return -pos, pc, end
            if not gone:
                size, pos = read_long(pos, end)
                if pos < 0:
                    return -pos, pc, end
                if size < 0 or size > end - pos:
                    return BAD_LENGTH, pc, pos
                if code == TEXT:
                    target = (row if ops[pc, DEST] else alert) + ops[pc, OFFSET]
                    if not _store_text(target, ops[pc, B], ops[pc, A], pos, size):
                        return TEXT_TOO_LONG, pc, pos
                elif code == SLICE:
                    cutouts[ops[pc, A], 0] = pos - base
                    cutouts[ops[pc, A], 1] = pos - base + size
                pos += size
            if ops[pc, PEEK]:
                pos = start
        elif code in (INT8, VALUE):
            start = pos
            gone = 0
            if ops[pc, NULLS] >= 0:
                gone, pos = is_null(pos, end, ops[pc, NULLS])
                if pos < 0:
                    return -pos, pc, end
            if not gone:
                target = (row if ops[pc, DEST] else alert) + ops[pc, OFFSET]
                if code == INT8:
                    integer, pos = read_long(pos, end)
                    if pos < 0:
                        return -pos, pc, end
                    if not (ops[pc, MISSING] and (integer == missing[pc, 0] or integer == missing[pc, 1])):
                        store_i8(target, integer)
                else:
                    kind = ops[pc, A]
                    integer = np.int64(0)
                    number = 0.0
                    if kind == FROM_FLOAT:
                        if end - pos < 4:
                            return TRUNCATED, pc, pos
                        number = np.float64(load_f4(pos))
                        pos += 4
                    elif kind == FROM_DOUBLE:
                        if end - pos < 8:
                            return TRUNCATED, pc, pos
                        number = load_f8(pos)
                        pos += 8
                    elif kind == FROM_LONG:
                        integer, pos = read_long(pos, end)
                        if pos < 0:
                            return -pos, pc, end
                        number = np.float64(integer)
                    else:
                        if pos >= end:
                            return TRUNCATED, pc, pos
                        integer = np.int64(load_u1(pos) != 0)
                        number = np.float64(integer)
                        pos += 1
                    if (
                        not (ops[pc, MISSING] and (number == missing[pc, 0] or number == missing[pc, 1]))
                    ) and not _store_number(target, ops[pc, B], number, integer):
                        return OUT_OF_RANGE, pc, pos
            if ops[pc, PEEK]:
                pos = start
        elif code == ARRAY_END:
            slot = ops[pc, B]
            stack[slot] -= 1
            if stack[slot] > 0:
                pc += ops[pc, A]
                continue
            # the next block
            count, pos = read_long(pos, end)
            if pos < 0:
                return -pos, pc, end
            if count < 0:
                if count == _NO_INT:
                    return BAD_COUNT, pc, pos
                count = -count
                pos = skip_long(pos, end)
                if pos < 0:
                    return -pos, pc, end
            if count > (end - pos) // ops[pc, OFFSET]:
                return BAD_COUNT, pc, pos
            if count > 0:
                stack[slot] = count
                pc += ops[pc, A]
                continue
        elif code == ARRAY:
            slot = ops[pc, B]
            least = np.int64(ops[pc, OFFSET])
            whole = ops[pc, DEST]
            while True:
                count, pos = read_long(pos, end)
                if pos < 0:
                    return -pos, pc, end
                if count < 0:
                    if count == _NO_INT:
                        return BAD_COUNT, pc, pos
                    count = -count
                    # the size of the block in bytes: not needed
                    pos = skip_long(pos, end)
                    if pos < 0:
                        return -pos, pc, end
                # items without bytes may be any number: they are not visited
                if least > 0 and count > (end - pos) // least:
                    return BAD_COUNT, pc, pos
                if count == 0 or not whole:
                    break
                pos += count * least
            if count == 0:
                pc += ops[pc, A]
                continue
            stack[slot] = count
        elif code == ROW:
            if ops[pc, A]:
                row = scratch
                trigger = 1
            else:
                if n_rows > most_rows:
                    return TOO_MANY_ROWS, pc, pos
                if n_rows >= room:
                    return NEED_SCRATCH, pc, pos
                row = scratch + n_rows * stride
                n_rows += 1
            copy_bytes(template, row, stride)
        elif code == ROW_END:
            kind = np.int64(ops[pc, A])
            if kind == TRIGGER:
                store_i1(row + where[W_KIND], np.int64(0))
            else:
                if kind == AUTO:
                    if load_u1(row + where[W_SENT]):
                        kind = np.int64(2)
                        for k in range(fixes.shape[0]):
                            source = row + fixes[k, 0] if fixes[k, 0] >= 0 else template + fixes[k, 1]
                            copy_bytes(source, row + fixes[k, 1], fixes[k, 2])
                    else:
                        kind = np.int64(1 if load_i8(row + where[W_ID]) == _NO_INT else 0)
                store_i1(row + where[W_KIND], kind)
                counts[kind] += 1
                if kind == 0 and where[W_RELIABILITY] >= 0 and load_f4(row + where[W_RELIABILITY]) > np.float32(0.5):
                    counts[C_RELIABLE] += 1
                time = load_f8(row + where[W_MJD])
                # a row without a possible time has no place in a light curve
                if not (MJD_MIN <= time <= MJD_MAX):
                    n_rows -= 1
        elif code == IF_NULL:
            gone, pos = is_null(pos, end, ops[pc, NULLS])
            if pos < 0:
                return -pos, pc, end
            if gone:
                pc += ops[pc, A]
                continue
        elif code == MARK:
            store_i1((row if ops[pc, DEST] else alert) + ops[pc, OFFSET], np.int64(1))
        elif code == JUMP:
            pc += ops[pc, A]
            continue
        elif code == UNION:
            branch, pos = read_long(pos, end)
            if pos < 0:
                return -pos, pc, end
            if branch < 0 or branch >= ops[pc, A]:
                return BAD_BRANCH, pc, pos
            pc += branch + 1
            continue
        else:  # END
            counts[C_TRIGGER] = trigger
            counts[C_ROWS] = n_rows
            return GOOD, pc, pos
        pc += 1


@njit(cache=True, nogil=True)
def _before(a, b, mjd, keys):  # type: ignore[no-untyped-def]
    """Whether row a comes before row b: (mjd, kind, id, provenance)."""
    if mjd[a] != mjd[b]:
        return mjd[a] < mjd[b]
    for k in range(keys.shape[1]):
        if keys[a, k] != keys[b, k]:
            return keys[a, k] < keys[b, k]
    return False


@njit(cache=True, nogil=True)
def _before_by_id(a, b, mjd, keys):  # type: ignore[no-untyped-def]
    """The same for (kind, id, order in the packet)."""
    if keys[a, 0] != keys[b, 0]:
        return keys[a, 0] < keys[b, 0]
    if keys[a, 1] != keys[b, 1]:
        return keys[a, 1] < keys[b, 1]
    return a < b


@njit(cache=True, nogil=True)
def _less(by_id, a, b, mjd, keys):  # type: ignore[no-untyped-def]
    return _before_by_id(a, b, mjd, keys) if by_id else _before(a, b, mjd, keys)


@njit(cache=True, nogil=True)
def sort_rows(order, spare, runs, n, by_id, mjd, keys):  # type: ignore[no-untyped-def]
    """Sort ``order[:n]`` (stable natural merge sort): one pass when sorted, n log n at worst.

    Upstream's arrays are sorted one by one, ascending or descending, so that two or three runs are the rule.
    `spare` and `runs` are work space of at least n and n + 1.
    """
    n_runs = 0
    i = 0
    while i < n:
        runs[n_runs] = i
        n_runs += 1
        j = i + 1
        if j < n:
            if _less(by_id, order[j], order[i], mjd, keys):
                while j < n and _less(by_id, order[j], order[j - 1], mjd, keys):
                    j += 1
                low, high = i, j - 1
                while low < high:
                    order[low], order[high] = order[high], order[low]
                    low += 1
                    high -= 1
            else:
                while j < n and not _less(by_id, order[j], order[j - 1], mjd, keys):
                    j += 1
        i = j
    runs[n_runs] = n
    while n_runs > 1:
        kept = 0
        for r in range(0, n_runs, 2):
            start = runs[r]
            runs[kept] = start
            kept += 1
            if r + 1 == n_runs:
                continue
            middle, stop = runs[r + 1], runs[r + 2]
            if not _less(by_id, order[middle], order[middle - 1], mjd, keys):
                continue
            for k in range(start, middle):
                spare[k] = order[k]
            a, b, to = start, middle, start
            while a < middle and b < stop:
                if _less(by_id, order[b], spare[a], mjd, keys):
                    order[to] = order[b]
                    b += 1
                else:
                    order[to] = spare[a]
                    a += 1
                to += 1
            while a < middle:
                order[to] = spare[a]
                a += 1
                to += 1
        runs[kept] = n
        n_runs = kept


@njit(cache=True, nogil=True)
def order_rows(scratch, n, where, mjd, keys, order, spare, runs):  # type: ignore[no-untyped-def]
    """Order the n rows of one alert and drop repeated ones. Returns how many ``order[:k]`` holds.

    Same (kind, id): once, the first in the packet (the alert's own detection is row 0). Without an id: once when
    time, kind and provenance agree.
    """
    stride = where[W_STRIDE]
    for i in range(n):
        row = scratch + i * stride
        mjd[i] = load_f8(row + where[W_MJD])
        keys[i, 0] = load_u1(row + where[W_KIND])
        keys[i, 1] = load_i8(row + where[W_ID])
        keys[i, 2] = load_i8(row + where[W_PROVENANCE])
        other = load_u1(row + where[W_BAND])
        if where[W_FIELD] >= 0:
            other |= (load_u4(row + where[W_FIELD]) << 24) | ((load_u4(row + where[W_RCID]) & 0xFFFF) << 8)
        keys[i, 3] = other
        order[i] = i
    sort_rows(order, spare, runs, n, False, mjd, keys)
    # ids nearly always rise with time, which proves them different
    rising = True
    last0 = last1 = last2 = np.int64(_NO_INT)
    for k in range(n):
        i = order[k]
        name = keys[i, 1]
        if name == _NO_INT:
            continue
        kind = keys[i, 0]
        if kind == 0:
            rising &= name > last0
            last0 = name
        elif kind == 1:
            rising &= name > last1
            last1 = name
        else:
            rising &= name > last2
            last2 = name
    if not rising:
        sort_rows(order, spare, runs, n, True, mjd, keys)
        kept = 0
        for k in range(n):
            i = order[k]
            if k > 0 and keys[i, 1] != _NO_INT:
                j = order[kept - 1]
                if keys[i, 0] == keys[j, 0] and keys[i, 1] == keys[j, 1]:
                    continue
            order[kept] = i
            kept += 1
        n = kept
        # back to the order in the packet, so that "first wins" also holds below
        for k in range(n):
            runs[k] = order[k]
        _sort_ascending(runs, spare, n)
        for k in range(n):
            order[k] = runs[k]
        sort_rows(order, spare, runs, n, False, mjd, keys)
    kept = 0
    for k in range(n):
        i = order[k]
        if kept > 0 and keys[i, 1] == _NO_INT:
            j = order[kept - 1]
            if (
                mjd[i] == mjd[j]
                and keys[i, 0] == keys[j, 0]
                and keys[j, 1] == _NO_INT
                and keys[i, 2] == keys[j, 2]
                and keys[i, 3] == keys[j, 3]
            ):
                continue
        order[kept] = i
        kept += 1
    return kept


@njit(cache=True, nogil=True)
def _sort_ascending(values, spare, n):  # type: ignore[no-untyped-def]
    """Bottom-up merge sort of integers."""
    width = 1
    while width < n:
        for start in range(0, n, 2 * width):
            middle, stop = min(start + width, n), min(start + 2 * width, n)
            for k in range(start, stop):
                spare[k] = values[k]
            a, b = start, middle
            for k in range(start, stop):
                if b >= stop or (a < middle and spare[a] <= spare[b]):
                    values[k] = spare[a]
                    a += 1
                else:
                    values[k] = spare[b]
                    b += 1
        width *= 2


# one signature, so that importing loads the kernel from the disk cache and nothing compiles later
_SIGNATURE = (
    "UniTuple(int64, 2)(int32[:, ::1], float64[:, ::1], int64[::1], int64[::1], int64[:, ::1], int64, int64, int64,"
    " int64, int64, int64, int64[::1], int64[:, ::1], int64, int64, int64, float64[::1], int64[:, ::1], int64[:, ::1],"
    " int64[:, ::1], int64[:, :, ::1], int64[::1], int64[::1], int64[:, ::1])"
)


@njit(_SIGNATURE, cache=True, nogil=True)
def walk_batch(  # type: ignore[no-untyped-def]
    ops,
    missing,
    starts,
    program,
    spans,
    first,
    alerts,
    alert_size,
    scratch,
    room,
    template,
    where,
    fixes,
    rows,
    capacity,
    used,
    mjd,
    keys,
    work,
    counts,
    cutouts,
    offsets,
    trigger,
    status,
):
    """Walk the records from `first` on. Returns (next record, GOOD or NEED_SCRATCH or NEED_ROWS).

    Of record i, `spans[i]` is (address of the message, of its datum, of the datum's end) and ``starts[program[i]]``
    the first op. `status[i]` becomes (status, op, bytes from the start of the datum); a record that fails gets no
    rows. The caller grows what is needed and calls again with the record that was returned.
    """
    stack = np.zeros(MAX_DEPTH, np.int64)
    stride = where[W_STRIDE]
    size = where[W_SIZE]
    for i in range(first, spans.shape[0]):
        base, pos, end = spans[i, 0], spans[i, 1], spans[i, 2]
        counts[i, :] = 0
        cutouts[i, :, :] = 0
        # a history row has at least a time: hostile schemas must not make many rows of few bytes
        most_rows = (end - pos) // 8 + 16
        code, pc, at = walk(
            ops,
            missing,
            starts[program[i]],
            base,
            pos,
            end,
            alerts + i * alert_size,
            scratch,
            room,
            most_rows,
            where,
            template,
            fixes,
            stack,
            counts[i],
            cutouts[i],
        )
        if code == NEED_SCRATCH:
            return i, np.int64(NEED_SCRATCH)
        if code == GOOD and at != end:
            code = LEFT_OVER
        if code == GOOD and counts[i, C_TRIGGER] == 0:
            code = NO_TRIGGER
        status[i, 0] = code
        status[i, 1] = pc
        status[i, 2] = at - pos
        offsets[i + 1] = used
        trigger[i] = -1
        if code != GOOD:
            continue
        n = order_rows(scratch, counts[i, C_ROWS], where, mjd, keys, work[0], work[1], work[2])
        if used + n > capacity:
            return i, np.int64(NEED_ROWS)
        for k in range(n):
            which = work[0, k]
            if which == 0:
                trigger[i] = used
            copy_bytes(scratch + which * stride, rows + used * size, size)
            used += 1
        offsets[i + 1] = used
    return np.int64(spans.shape[0]), np.int64(GOOD)


@njit(
    types.int64(
        types.Array(types.int32, 2, "C"), types.int64, types.int64, types.int64, types.Array(types.int64, 1, "C")
    ),
    cache=True,
    nogil=True,
)
def split(ops, pos, end, count, ends):  # type: ignore[no-untyped-def]
    """Find where each of `count` records of one block ends, by a table that stores nothing.

    `ends[k]` becomes the distance from the start to the end of record k. Returns how many records were whole.
    """
    stack = np.zeros(MAX_DEPTH, np.int64)
    nothing = np.zeros((0, 2), np.float64)
    fixes = np.zeros((0, 3), np.int64)
    where = np.zeros(W_WIDTH, np.int64)
    counts = np.zeros(C_WIDTH, np.int64)
    cutouts = np.zeros((0, 2), np.int64)
    start = pos
    for k in range(count):
        code, _, pos = walk(
            ops, nothing, 0, start, pos, end, 0, 0, 0, 0, where, np.int64(0), fixes, stack, counts, cutouts
        )
        if code != GOOD:
            return np.int64(k)
        ends[k] = pos - start
    return np.int64(count)
