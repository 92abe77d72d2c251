#include "queue/ctl/output.h"

#include "proto/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { STDOUT_BUFFER = 1 << 20, WIDTH_UNKNOWN = 80, HEIGHT_UNKNOWN = 24, WIDTH_MIN = 60 };

static struct {
    size_t width;
    bool colours;
    char buffer[STDOUT_BUFFER];
} screen;

void output_start(void)
{
    setvbuf(stdout, screen.buffer, _IOFBF, sizeof screen.buffer);
    if (!isatty(STDOUT_FILENO))
        return;
    struct winsize size;
    const char *no_color = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");
    output_screen(&size.ws_col, &size.ws_row);
    screen.width = size.ws_col < WIDTH_MIN ? WIDTH_MIN : size.ws_col;
    screen.colours = (no_color == NULL || no_color[0] == '\0') &&
                     (terminal == NULL || strcmp(terminal, "dumb") != 0);
}

void output_screen(unsigned short *columns_out, unsigned short *lines_out)
{
    struct winsize size;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;

    *columns_out = known && size.ws_col > 0 ? size.ws_col : WIDTH_UNKNOWN;
    *lines_out = known && size.ws_row > 0 ? size.ws_row : HEIGHT_UNKNOWN;
}

bool output_end(void)
{
    return fflush(stdout) == 0 && !ferror(stdout);
}

size_t output_width(void)
{
    return screen.width;
}

static bool is_plain(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < ' ' || text.ptr[i] == 0x7F)
            return false; /* 8-bit bytes are negative */
    return true;
}

static void write_bytes(struct span bytes)
{
    if (bytes.len > 0)
        fwrite_unlocked(bytes.ptr, 1, bytes.len, stdout);
}

/* The next character's bytes, or "?" for what must not reach a terminal: control bytes, the C1
 * controls (U+0080 to U+009F) and bytes that are no UTF-8. */
static struct span take_character(struct span *text, bool lines)
{
    unsigned char first = (unsigned char)text->ptr[0];
    size_t len = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    struct span character = span_head(*text, len);
    bool control = first < ' ' && !(lines && (first == '\n' || first == '\r' || first == '\t'));

    if (!utf8_is_valid(character)) {
        character.len = 1;
        control = true;
    } else if (first == 0x7F || (first == 0xC2 && (unsigned char)text->ptr[1] < 0xA0)) {
        control = true;
    }
    *text = span_from(*text, character.len);
    return control ? SPAN("?") : character;
}

void output_text(struct span text)
{
    if (is_plain(text)) {
        write_bytes(text);
        return;
    }
    while (text.len > 0)
        write_bytes(take_character(&text, false));
}

void output_raw(struct span text)
{
    if (screen.width == 0) {
        write_bytes(text);
        return;
    }
    while (text.len > 0)
        write_bytes(take_character(&text, true));
}

static void pad(size_t used, size_t width)
{
    if (width == 0)
        return;
    do
        putc_unlocked(' ', stdout);
    while (used++ < width);
}

static size_t write_cut(struct span text, size_t width)
{
    bool cut = screen.width > 0;
    size_t used = 0;

    if (is_plain(text) && (text.len <= width || !cut)) {
        write_bytes(text);
        return text.len;
    }
    while (text.len > 0) {
        struct span character = take_character(&text, false);
        if (cut && used + 1 == width && text.len > 0)
            character = SPAN("~"), text.len = 0;
        write_bytes(character);
        used++;
    }
    return used;
}

void output_cell(struct span text, size_t width, enum output_style style)
{
    static const char *const begin[] = {"", "\033[1m", "\033[32m", "\033[33m", "\033[31m"};
    bool coloured = screen.colours && style != OUTPUT_PLAIN;

    if (coloured)
        fputs_unlocked(begin[style], stdout);
    size_t used = write_cut(text, width);
    if (coloured)
        fputs_unlocked("\033[0m", stdout);
    pad(used, width);
}

void output_number(uint64_t number, size_t width)
{
    char text[24];

    output_cell(span_of(text, (size_t)snprintf(text, sizeof text, "%" PRIu64, number)), width,
                OUTPUT_PLAIN);
}

size_t output_duration(uint64_t ms, char text[OUTPUT_DURATION_MAX])
{
    unsigned long long s = ms / 1000;
    int len;

    if (s < 60)
        len = snprintf(text, OUTPUT_DURATION_MAX, "%llus", s);
    else if (s < 3600)
        len = snprintf(text, OUTPUT_DURATION_MAX, "%llum %llus", s / 60, s % 60);
    else if (s < 86400)
        len = snprintf(text, OUTPUT_DURATION_MAX, "%lluh %llum", s / 3600, s / 60 % 60);
    else
        len =
            snprintf(text, OUTPUT_DURATION_MAX, "%llud %lluh", s / 86400 % 1000000, s / 3600 % 24);
    return (size_t)len;
}

size_t output_time(uint64_t wall_ms, char text[OUTPUT_TIME_MAX])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm local;

    if (localtime_r(&seconds, &local) == NULL)
        return (size_t)snprintf(text, OUTPUT_TIME_MAX, "?");
    return strftime(text, OUTPUT_TIME_MAX, "%Y-%m-%d %H:%M:%S %z", &local);
}

size_t output_size(uint64_t bytes, char text[OUTPUT_SIZE_MAX])
{
    static const char units[] = "KMGTPE";
    size_t unit = 0;

    if (bytes < 1024)
        return (size_t)snprintf(text, OUTPUT_SIZE_MAX, "%u", (unsigned)bytes);
    while (bytes >= 1024 * 1024) {
        bytes /= 1024;
        unit++;
    }
    unsigned tenths = (unsigned)(bytes * 10 / 1024);
    if (tenths < 100)
        return (size_t)snprintf(text, OUTPUT_SIZE_MAX, "%u.%u%c", tenths / 10, tenths % 10,
                                units[unit]);
    return (size_t)snprintf(text, OUTPUT_SIZE_MAX, "%u%c", tenths / 10, units[unit]);
}
