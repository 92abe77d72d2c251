/* Dates of commands (RFC 9051 9: date, date-time). */
#include "plugins/drop/imap/parse.h"

#include <time.h>

static bool digits(struct imap_parser *p, int count, int *out)
{
    *out = 0;
    for (; count > 0; count--) {
        if (p->at == p->end || !ascii_is_digit(*p->at))
            return false;
        *out = *out * 10 + (*p->at++ - '0');
    }
    return true;
}

static bool month(struct imap_parser *p, int *out)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const int len = 3;

    if (p->end - p->at < len)
        return false;
    for (*out = 0; *out < 12; (*out)++)
        if (span_equal_nocase(span_of(p->at, (size_t)len),
                              span_of(names + *out * len, (size_t)len))) {
            p->at += len;
            return true;
        }
    return false;
}

/* "1-Feb-1994"; false without a problem. */
static bool day(struct imap_parser *p, struct tm *out)
{
    *out = (struct tm){0};
    parse_take(p, ' '); /* of a date-time, where the day has one digit */
    if (!digits(p, 1, &out->tm_mday))
        return false;
    if (p->at < p->end && ascii_is_digit(*p->at))
        out->tm_mday = out->tm_mday * 10 + (*p->at++ - '0');
    if (!parse_take(p, '-') || !month(p, &out->tm_mon) || !parse_take(p, '-') ||
        !digits(p, 4, &out->tm_year))
        return false;
    out->tm_year -= 1900;
    struct tm same = *out; /* timegm takes the 30th of February for a day of March */
    timegm(&same);
    return same.tm_mday == out->tm_mday && same.tm_mon == out->tm_mon;
}

bool parse_date(struct imap_parser *p, int64_t *days_out)
{
    const int64_t seconds_a_day = 86400;
    bool is_quoted = parse_take(p, '"');
    struct tm tm;

    if (p->at == p->end || *p->at == ' ')
        return parse_unexpected(p, "A date was expected");
    if (!day(p, &tm) || (is_quoted && !parse_take(p, '"')))
        return parse_bad(p, "A date is written as in 1-Feb-1994");
    *days_out = timegm(&tm) / seconds_a_day; /* midnight: it leaves no rest */
    return true;
}

/* "-0800": minutes east. */
static bool zone(struct imap_parser *p, int *out)
{
    bool is_west = parse_is_at(p, '-');
    int hours, minutes;

    if ((!parse_take(p, '-') && !parse_take(p, '+')) || !digits(p, 2, &hours) ||
        !digits(p, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *out = (is_west ? -1 : 1) * (hours * 60 + minutes);
    return true;
}

bool parse_date_time(struct imap_parser *p, int64_t *seconds_out, int *zone_out)
{
    struct tm tm;

    if (!parse_take(p, '"') || !day(p, &tm) || !parse_take(p, ' ') || !digits(p, 2, &tm.tm_hour) ||
        !parse_take(p, ':') || !digits(p, 2, &tm.tm_min) || !parse_take(p, ':') ||
        !digits(p, 2, &tm.tm_sec) || !parse_take(p, ' ') || !zone(p, zone_out) ||
        !parse_take(p, '"') || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
        return parse_bad(p, "A date and time is written as in \" 1-Feb-1994 21:52:25 -0800\"");
    *seconds_out = timegm(&tm) - *zone_out * 60;
    return true;
}
