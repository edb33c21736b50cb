"""Drawing a token, by a definition in integers: the same logits and key give the same token on every framework.

A Gumbel race in two stages. Token j is in group j & 1023, at slot j >> 10. First the groups race, each with the log of
the sum of its entries; then the entries of the group that won. A row needs noise for 1024 groups and for the slots of
one of them, instead of noise for each entry.

Whatever decides is an int32, which wraps around, or a float32 operation that IEEE 754 rounds the same everywhere: a
difference, a product, a maximum, a truncation. No sum follows a product in floats, because compilers fuse the two.
Numbers on a log scale are base 2 with 24 fractional bits, and negated: the lowest score wins.

`tables` has the constants, `words` the random words and the noise, `factors` the temperature, `racing` the race itself.
`top_k` draws several tokens without replacement, by a definition of its own; `tokens` runs both for a batch.
"""

from tempscale.kernels.gumbel.factors import (
    AT_ZERO,
    SCORES_PER_NAT,
    Factor,
    factor,
    factor_of_array,
    factor_of_number,
    is_exactly_zero,
    number_or_factor,
    products,
    scaled,
)
from tempscale.kernels.gumbel.racing import (
    STAGES,
    Field,
    Race,
    Shifts,
    Stages,
    at_finite,
    batched,
    by_rows,
    count_to,
    drawn,
    first_maximum,
    flat_rows,
    grouped,
    in_blocks,
    no_token,
    of_slots,
    prepared,
    race,
    shifts,
    slot,
    tokens_of_rows,
    weights,
)
from tempscale.kernels.gumbel.tables import BLOCK, GROUPS, MOST_SLOTS, NOBODY, ONE, TABLES, VERSION, lookup
from tempscale.kernels.gumbel.words import (
    float_bits,
    group_words,
    log2_of,
    noise,
    rotated,
    signed_words,
    slot_words,
    subkeys,
    threefry,
)

__all__ = [
    "AT_ZERO",
    "BLOCK",
    "GROUPS",
    "MOST_SLOTS",
    "NOBODY",
    "ONE",
    "SCORES_PER_NAT",
    "STAGES",
    "TABLES",
    "VERSION",
    "Factor",
    "Field",
    "Race",
    "Shifts",
    "Stages",
    "at_finite",
    "batched",
    "by_rows",
    "count_to",
    "drawn",
    "factor",
    "factor_of_array",
    "factor_of_number",
    "first_maximum",
    "flat_rows",
    "float_bits",
    "group_words",
    "grouped",
    "in_blocks",
    "is_exactly_zero",
    "log2_of",
    "lookup",
    "no_token",
    "noise",
    "number_or_factor",
    "of_slots",
    "prepared",
    "products",
    "race",
    "rotated",
    "scaled",
    "shifts",
    "signed_words",
    "slot",
    "slot_words",
    "subkeys",
    "threefry",
    "tokens_of_rows",
    "weights",
]
