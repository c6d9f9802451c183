"""Arrow values as the JSON that `src/formats/arrow/json.ts` makes of them; the tests compare by it."""

import base64
import json
import math

import pyarrow as pa

DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}
SAFE = 2**53 - 1


def with_fraction(text, rest, digits):
    return text if digits == 0 else f"{text}.{rest:0{digits}d}"


def timestamp(count, unit, zone):
    import datetime

    digits = DIGITS[unit]
    seconds, rest = divmod(count, 10**digits)
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)
    return with_fraction(moment.isoformat(timespec="seconds"), rest, digits) + ("Z" if zone else "")


def time_of_day(count, unit):
    digits = DIGITS[unit]
    seconds, rest = divmod(count, 10**digits)
    return with_fraction(f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}", rest, digits)


def as_json(scalar):
    """The value of a pyarrow scalar."""
    kind = scalar.type
    types = pa.types
    if not scalar.is_valid:
        return None
    if types.is_dictionary(kind):
        return as_json(scalar.value)
    if types.is_struct(kind):
        return {name: as_json(scalar[name]) for name in [field.name for field in kind]}
    if types.is_map(kind):
        return [{"key": as_json(entry["key"]), "value": as_json(entry["value"])} for entry in scalar.values]
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        if types.is_int32(kind.value_type) and scalar.values.null_count == 0:
            return scalar.values.to_pylist()
        return [as_json(value) for value in scalar.values]
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind) or types.is_fixed_size_binary(kind):
        return base64.b64encode(scalar.as_py()).decode()
    if types.is_floating(kind):
        value = float(scalar.as_py())
        return value if math.isfinite(value) else None
    if types.is_timestamp(kind):
        return timestamp(scalar.value, kind.unit, kind.tz)
    if types.is_time(kind):
        return time_of_day(scalar.cast(pa.int32() if types.is_time32(kind) else pa.int64()).as_py(), kind.unit)
    if types.is_duration(kind):
        return scalar.value
    if types.is_date(kind):
        return scalar.as_py().isoformat()
    if types.is_decimal(kind):
        return str(scalar.as_py())
    value = scalar.as_py()
    if types.is_integer(kind) and abs(value) > SAFE:
        return str(value)
    return value


def rows_of(table):
    """The rows of a pyarrow table or of the table of a dataset, as JSON."""
    for batch in table.to_batches():
        columns = [[as_json(scalar) for scalar in column] for column in batch.columns]
        for row in range(batch.num_rows):
            yield {name: column[row] for name, column in zip(batch.schema.names, columns)}


def write_lines(path, rows):
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]
