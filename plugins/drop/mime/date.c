/* Dates (RFC 5322 3.3, 4.3). */
#include "plugins/drop/mime/mime_private.h"

static bool take_number(struct span *text, size_t digits_max, int *out, size_t *digits_out)
{
    struct span rest = mime_skip_blanks(*text);
    size_t len = 0;

    for (*out = 0; len < rest.len && ascii_is_digit(rest.ptr[len]); len++) {
        if (len == digits_max)
            return false;
        *out = *out * 10 + (rest.ptr[len] - '0');
    }
    *text = span_from(rest, len);
    if (digits_out != NULL)
        *digits_out = len;
    return len > 0;
}

static struct span take_word(struct span *text)
{
    struct span rest = mime_skip_blanks(*text);
    size_t len = 0;

    while (len < rest.len && ascii_is_alpha(rest.ptr[len]))
        len++;
    *text = span_from(rest, len);
    return span_head(rest, len);
}

static bool take_char(struct span *text, char c)
{
    struct span rest = mime_skip_blanks(*text);

    if (rest.len == 0 || rest.ptr[0] != c)
        return false;
    *text = span_from(rest, 1);
    return true;
}

/* 0 to 11. */
static bool take_month(struct span *text, int *out)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct span word = take_word(text);

    for (int i = 0; i < 12; i++)
        if (span_equal_nocase(span_head(word, 3), span_of(months + 3 * i, 3))) {
            *out = i;
            return true;
        }
    return false;
}

static bool take_year(struct span *text, int *out)
{
    size_t digits;

    if (!take_number(text, 4, out, &digits))
        return false;
    if (digits == 3 || (digits == 2 && *out >= 50)) /* RFC 5322 4.3 */
        *out += 1900;
    else if (digits == 2)
        *out += 2000;
    return digits >= 2;
}

static bool take_clock(struct span *text, int *seconds_out)
{
    int hour, minute, second = 0;

    if (!take_number(text, 2, &hour, NULL) || !take_char(text, ':') ||
        !take_number(text, 2, &minute, NULL))
        return false;
    if (take_char(text, ':') && !take_number(text, 2, &second, NULL))
        return false;
    *seconds_out = (hour * 60 + minute) * 60 + second;
    return hour < 24 && minute < 60 && second <= 60;
}

/* Minutes east; what is not known means no more than UTC (RFC 5322 4.3). */
static int read_zone(struct span text)
{
    static const struct {
        struct span name;
        int minutes;
    } zones[] = {{{"EST", 3}, -300}, {{"EDT", 3}, -240}, {{"CST", 3}, -360}, {{"CDT", 3}, -300},
                 {{"MST", 3}, -420}, {{"MDT", 3}, -360}, {{"PST", 3}, -480}, {{"PDT", 3}, -420}};
    bool is_west = take_char(&text, '-');
    int value;
    size_t digits;

    if (is_west || take_char(&text, '+')) {
        if (!take_number(&text, 4, &value, &digits) || digits != 4 || value % 100 >= 60)
            return 0;
        int minutes = value / 100 * 60 + value % 100;
        return is_west ? -minutes : minutes;
    }
    struct span name = take_word(&text);
    for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++)
        if (span_equal_nocase(name, zones[i].name))
            return zones[i].minutes;
    return 0;
}

/* Days since 1970 of a day in the Gregorian calendar. */
static int64_t days_of(int year, int month, int day)
{
    int64_t y = month < 2 ? year - 1 : year; /* years begin in March, leap days end them */
    int64_t m = (month + 10) % 12;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t in_era = y - era * 400;
    int64_t in_year = (153 * m + 2) / 5 + day - 1;

    return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468;
}

static bool is_day(int year, int month, int day)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return day >= 1 && day <= days[month] + (month == 1 && is_leap);
}

bool mime_date(struct span value, int64_t *seconds_out, int *zone_out)
{
    int day, month, year, seconds;
    struct span text = value;

    if (take_word(&text).len > 0)
        take_char(&text, ',');
    if (!take_number(&text, 2, &day, NULL))
        return false;
    take_char(&text, '-'); /* "07-Feb-1994": not as it should be, but plain */
    if (!take_month(&text, &month))
        return false;
    take_char(&text, '-');
    if (!take_year(&text, &year) || !take_clock(&text, &seconds) || !is_day(year, month, day))
        return false;
    *zone_out = read_zone(text);
    *seconds_out = days_of(year, month, day) * 86400 + seconds - (int64_t)*zone_out * 60;
    return true;
}
