#include "proto/rfc3339.h"

#include <stdio.h>
#include <time.h>

/* Exactly `digits` digits at the front of *text, which is moved behind them. */
static bool take_number(struct span *text, size_t digits, int least, int most, int *out)
{
    uint64_t value;

    if (text->len < digits || !span_parse_u64(span_head(*text, digits), &value))
        return false;
    *text = span_from(*text, digits);
    *out = (int)value;
    return *out >= least && *out <= most;
}

static bool take_letter(struct span *text, char letter)
{
    if (text->len == 0 || ascii_lower(text->ptr[0]) != letter)
        return false;
    *text = span_from(*text, 1);
    return true;
}

static bool take_date(struct span *text, struct tm *tm)
{
    if (!take_number(text, 4, 1970, 9999, &tm->tm_year) || !take_letter(text, '-') ||
        !take_number(text, 2, 1, 12, &tm->tm_mon) || !take_letter(text, '-') ||
        !take_number(text, 2, 1, 31, &tm->tm_mday))
        return false;
    tm->tm_year -= 1900;
    tm->tm_mon--;
    return true;
}

static bool take_time(struct span *text, struct tm *tm)
{
    return take_number(text, 2, 0, 23, &tm->tm_hour) && take_letter(text, ':') &&
           take_number(text, 2, 0, 59, &tm->tm_min) && take_letter(text, ':') &&
           take_number(text, 2, 0, 60, &tm->tm_sec);
}

static bool skip_fraction(struct span *text)
{
    size_t digits = 0;

    if (!take_letter(text, '.'))
        return true;
    while (digits < text->len && ascii_is_digit(text->ptr[digits]))
        digits++;
    *text = span_from(*text, digits);
    return digits > 0;
}

static bool take_offset(struct span *text, int *seconds_out)
{
    int hours, minutes;

    *seconds_out = 0;
    if (take_letter(text, 'z'))
        return true;
    bool west = take_letter(text, '-');
    if (!west && !take_letter(text, '+'))
        return false;
    if (!take_number(text, 2, 0, 23, &hours) || !take_letter(text, ':') ||
        !take_number(text, 2, 0, 59, &minutes))
        return false;
    *seconds_out = (hours * 60 + minutes) * (west ? -60 : 60);
    return true;
}

bool rfc3339_parse(struct span text, uint64_t *seconds_out)
{
    struct tm tm = {0};
    int offset;

    if (!take_date(&text, &tm) || !take_letter(&text, 't') || !take_time(&text, &tm) ||
        !skip_fraction(&text) || !take_offset(&text, &offset) || text.len > 0)
        return false;
    /* timegm takes the 30th of February for a day of March; a leap second may carry as well. */
    struct tm day = {.tm_year = tm.tm_year, .tm_mon = tm.tm_mon, .tm_mday = tm.tm_mday};
    timegm(&day);
    if (day.tm_mon != tm.tm_mon)
        return false;
    time_t seconds = timegm(&tm) - offset;
    if (seconds < 0)
        return false;
    *seconds_out = (uint64_t)seconds;
    return true;
}

size_t rfc3339_format(uint64_t seconds, char out[RFC3339_MAX])
{
    time_t time = (time_t)seconds;
    struct tm tm = {.tm_mday = 1};

    gmtime_r(&time, &tm);
    return strftime(out, RFC3339_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm);
}
