/* Dates of commands (RFC 9051 9: date, date-time). */
#include "plugins/drop/imap/parse.h"

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

/* Of the Gregorian calendar. (timegm takes a lock that all threads share.) */
static int64_t days_since_1970(int year, int month, int day)
{
    const int days_of_400_years = 146097, days_until_1970 = 719468;
    int y = year + 400 - (month < 2); /* a year begins in March, so that the odd day is its last */
    int of_year = (153 * ((month + 10) % 12) + 2) / 5 + day - 1;

    return (int64_t)y * 365 + y / 4 - y / 100 + y / 400 + of_year - days_until_1970 -
           days_of_400_years;
}

static int days_of_month(int year, int month)
{
    static const char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return days[month] + (month == 1 && is_leap);
}

/* "1-Feb-1994"; false without a problem. */
static bool day(struct imap_parser *p, int64_t *days_out)
{
    int day_of_month, in_year, year;

    parse_take(p, ' '); /* of a date-time, where the day has one digit */
    if (!digits(p, 1, &day_of_month))
        return false;
    if (p->at < p->end && ascii_is_digit(*p->at))
        day_of_month = day_of_month * 10 + (*p->at++ - '0');
    if (!parse_take(p, '-') || !month(p, &in_year) || !parse_take(p, '-') || !digits(p, 4, &year))
        return false;
    if (day_of_month < 1 || day_of_month > days_of_month(year, in_year))
        return false;
    *days_out = days_since_1970(year, in_year, day_of_month);
    return true;
}

bool parse_date(struct imap_parser *p, int64_t *days_out)
{
    bool is_quoted = parse_take(p, '"');

    if (p->at == p->end || *p->at == ' ')
        return parse_unexpected(p, "A date was expected");
    if (!day(p, days_out) || (is_quoted && !parse_take(p, '"')))
        return parse_bad(p, "A date is written as in 1-Feb-1994");
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

/* "21:52:25", a leap second perhaps. */
static bool time_of_day(struct imap_parser *p, int *seconds_out)
{
    int hours, minutes, seconds;

    if (!digits(p, 2, &hours) || !parse_take(p, ':') || !digits(p, 2, &minutes) ||
        !parse_take(p, ':') || !digits(p, 2, &seconds))
        return false;
    *seconds_out = (hours * 60 + minutes) * 60 + seconds;
    return hours < 24 && minutes < 60 && seconds <= 60;
}

bool parse_date_time(struct imap_parser *p, int64_t *seconds_out, int *zone_out)
{
    const int64_t seconds_a_day = 86400;
    int64_t days;
    int seconds;

    if (!parse_take(p, '"') || !day(p, &days) || !parse_take(p, ' ') || !time_of_day(p, &seconds) ||
        !parse_take(p, ' ') || !zone(p, zone_out) || !parse_take(p, '"'))
        return parse_bad(p, "A date and time is written as in \" 1-Feb-1994 21:52:25 -0800\"");
    *seconds_out = days * seconds_a_day + seconds - *zone_out * 60;
    return true;
}
