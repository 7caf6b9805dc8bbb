"""Lines of text to events, compiled: what most files hold, whole numbers and decimals between commas or blanks."""

from numba import njit

DIGITS = 18  # that surely fit int64
PLACES = 6  # of seconds behind the point


@njit(cache=True, nogil=True)
def parse_lines(text, places, delimiter, in_seconds, rows):
    """Fill rows (N, 4) int64 with t, x, y and p of each line of text (bytes,); how many there were.

    places (4,): the columns of t, x, y and p. delimiter: a byte, or 0 for blanks. in_seconds: t has a point and becomes
    microseconds, rounded from its decimals. -1 for a line that is anything else: a number with an exponent, a letter, a
    column too few.
    """
    last = places.max()
    count = at = 0
    while at < text.size:
        column = filled = 0
        comment = False
        while at < text.size and text[at] != 10:
            byte = text[at]
            if byte == 32 or byte == 9 or byte == 13:
                at += 1
                continue
            if column == 0 and byte == 35:
                comment = True
            if comment:
                at += 1
                continue
            if column > last and delimiter == 0:
                at += 1  # what stands behind the last column of use
                continue
            number, digits, behind, negative = 0, 0, -1, False
            if byte == 45:
                negative = True
                at += 1
            rounded = False
            while at < text.size:
                byte = text[at]
                if 48 <= byte <= 57:
                    digits += 1
                    if behind < PLACES:
                        number = 10 * number + (byte - 48)
                        behind += behind >= 0
                    elif behind == PLACES:
                        rounded = byte >= 53
                        behind += 1
                elif byte == 46 and behind < 0:
                    behind = 0
                else:
                    break
                at += 1
            if digits == 0 or digits > DIGITS:
                return -1
            seconds = in_seconds and column == places[0]
            if behind >= 0 and not seconds:
                return -1
            if seconds:
                for _ in range(PLACES - min(max(behind, 0), PLACES)):
                    if number > 922337203685477580:
                        return -1
                    number *= 10
                number += rounded
            if negative:
                number = -number
            while at < text.size and (text[at] == 32 or text[at] == 9 or text[at] == 13):
                at += 1
            if at < text.size and text[at] != 10:
                if delimiter != 0:
                    if text[at] != delimiter:
                        return -1
                    at += 1
                elif not (text[at] == 45 or 48 <= text[at] <= 57):
                    return -1
            for k in range(4):
                if places[k] == column:
                    rows[count, k] = number
                    filled += 1
            column += 1
        at += 1
        if column:
            if filled < 4:
                return -1
            count += 1
    return count
