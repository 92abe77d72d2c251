/* The text of HTML: enough to find words in it and to show how it begins; no more of its rules. */
#include "plugins/drop/mime/text.h"
#include "proto/utf8.h"

#include <stdlib.h>

enum { NAME_MAX_LEN = 10, ENTITY_MAX = 10 };

struct html_writer {
    struct buf *out;
    size_t begin;
    bool is_apart; /* blanks are due before what comes next */
};

/* ---- entities ----------------------------------------------------------------------------- */

struct entity {
    char name[ENTITY_MAX];
    uint32_t character;
};

/* Those of HTML 4, in order. */
/* clang-format off */
static const struct entity entities[] = {
    {"AElig", 0xc6}, {"Aacute", 0xc1}, {"Acirc", 0xc2}, {"Agrave", 0xc0}, {"Alpha", 0x391},
    {"Aring", 0xc5}, {"Atilde", 0xc3}, {"Auml", 0xc4}, {"Beta", 0x392}, {"Ccedil", 0xc7},
    {"Chi", 0x3a7}, {"Dagger", 0x2021}, {"Delta", 0x394}, {"ETH", 0xd0}, {"Eacute", 0xc9},
    {"Ecirc", 0xca}, {"Egrave", 0xc8}, {"Epsilon", 0x395}, {"Eta", 0x397}, {"Euml", 0xcb},
    {"Gamma", 0x393}, {"Iacute", 0xcd}, {"Icirc", 0xce}, {"Igrave", 0xcc}, {"Iota", 0x399},
    {"Iuml", 0xcf}, {"Kappa", 0x39a}, {"Lambda", 0x39b}, {"Mu", 0x39c}, {"Ntilde", 0xd1},
    {"Nu", 0x39d}, {"OElig", 0x152}, {"Oacute", 0xd3}, {"Ocirc", 0xd4}, {"Ograve", 0xd2},
    {"Omega", 0x3a9}, {"Omicron", 0x39f}, {"Oslash", 0xd8}, {"Otilde", 0xd5}, {"Ouml", 0xd6},
    {"Phi", 0x3a6}, {"Pi", 0x3a0}, {"Prime", 0x2033}, {"Psi", 0x3a8}, {"Rho", 0x3a1},
    {"Scaron", 0x160}, {"Sigma", 0x3a3}, {"THORN", 0xde}, {"Tau", 0x3a4}, {"Theta", 0x398},
    {"Uacute", 0xda}, {"Ucirc", 0xdb}, {"Ugrave", 0xd9}, {"Upsilon", 0x3a5}, {"Uuml", 0xdc},
    {"Xi", 0x39e}, {"Yacute", 0xdd}, {"Yuml", 0x178}, {"Zeta", 0x396}, {"aacute", 0xe1},
    {"acirc", 0xe2}, {"acute", 0xb4}, {"aelig", 0xe6}, {"agrave", 0xe0}, {"alefsym", 0x2135},
    {"alpha", 0x3b1}, {"amp", 0x26}, {"and", 0x2227}, {"ang", 0x2220}, {"apos", 0x27},
    {"aring", 0xe5}, {"asymp", 0x2248}, {"atilde", 0xe3}, {"auml", 0xe4}, {"bdquo", 0x201e},
    {"beta", 0x3b2}, {"brvbar", 0xa6}, {"bull", 0x2022}, {"cap", 0x2229}, {"ccedil", 0xe7},
    {"cedil", 0xb8}, {"cent", 0xa2}, {"chi", 0x3c7}, {"circ", 0x2c6}, {"clubs", 0x2663},
    {"cong", 0x2245}, {"copy", 0xa9}, {"crarr", 0x21b5}, {"cup", 0x222a}, {"curren", 0xa4},
    {"dArr", 0x21d3}, {"dagger", 0x2020}, {"darr", 0x2193}, {"deg", 0xb0}, {"delta", 0x3b4},
    {"diams", 0x2666}, {"divide", 0xf7}, {"eacute", 0xe9}, {"ecirc", 0xea}, {"egrave", 0xe8},
    {"empty", 0x2205}, {"emsp", 0x2003}, {"ensp", 0x2002}, {"epsilon", 0x3b5}, {"equiv", 0x2261},
    {"eta", 0x3b7}, {"eth", 0xf0}, {"euml", 0xeb}, {"euro", 0x20ac}, {"exist", 0x2203},
    {"fnof", 0x192}, {"forall", 0x2200}, {"frac12", 0xbd}, {"frac14", 0xbc}, {"frac34", 0xbe},
    {"frasl", 0x2044}, {"gamma", 0x3b3}, {"ge", 0x2265}, {"gt", 0x3e}, {"hArr", 0x21d4},
    {"harr", 0x2194}, {"hearts", 0x2665}, {"hellip", 0x2026}, {"iacute", 0xed}, {"icirc", 0xee},
    {"iexcl", 0xa1}, {"igrave", 0xec}, {"image", 0x2111}, {"infin", 0x221e}, {"int", 0x222b},
    {"iota", 0x3b9}, {"iquest", 0xbf}, {"isin", 0x2208}, {"iuml", 0xef}, {"kappa", 0x3ba},
    {"lArr", 0x21d0}, {"lambda", 0x3bb}, {"lang", 0x2329}, {"laquo", 0xab}, {"larr", 0x2190},
    {"lceil", 0x2308}, {"ldquo", 0x201c}, {"le", 0x2264}, {"lfloor", 0x230a}, {"lowast", 0x2217},
    {"loz", 0x25ca}, {"lrm", 0x200e}, {"lsaquo", 0x2039}, {"lsquo", 0x2018}, {"lt", 0x3c},
    {"macr", 0xaf}, {"mdash", 0x2014}, {"micro", 0xb5}, {"middot", 0xb7}, {"minus", 0x2212},
    {"mu", 0x3bc}, {"nabla", 0x2207}, {"nbsp", 0xa0}, {"ndash", 0x2013}, {"ne", 0x2260},
    {"ni", 0x220b}, {"not", 0xac}, {"notin", 0x2209}, {"nsub", 0x2284}, {"ntilde", 0xf1},
    {"nu", 0x3bd}, {"oacute", 0xf3}, {"ocirc", 0xf4}, {"oelig", 0x153}, {"ograve", 0xf2},
    {"oline", 0x203e}, {"omega", 0x3c9}, {"omicron", 0x3bf}, {"oplus", 0x2295}, {"or", 0x2228},
    {"ordf", 0xaa}, {"ordm", 0xba}, {"oslash", 0xf8}, {"otilde", 0xf5}, {"otimes", 0x2297},
    {"ouml", 0xf6}, {"para", 0xb6}, {"part", 0x2202}, {"permil", 0x2030}, {"perp", 0x22a5},
    {"phi", 0x3c6}, {"pi", 0x3c0}, {"piv", 0x3d6}, {"plusmn", 0xb1}, {"pound", 0xa3},
    {"prime", 0x2032}, {"prod", 0x220f}, {"prop", 0x221d}, {"psi", 0x3c8}, {"quot", 0x22},
    {"rArr", 0x21d2}, {"radic", 0x221a}, {"rang", 0x232a}, {"raquo", 0xbb}, {"rarr", 0x2192},
    {"rceil", 0x2309}, {"rdquo", 0x201d}, {"real", 0x211c}, {"reg", 0xae}, {"rfloor", 0x230b},
    {"rho", 0x3c1}, {"rlm", 0x200f}, {"rsaquo", 0x203a}, {"rsquo", 0x2019}, {"sbquo", 0x201a},
    {"scaron", 0x161}, {"sdot", 0x22c5}, {"sect", 0xa7}, {"shy", 0xad}, {"sigma", 0x3c3},
    {"sigmaf", 0x3c2}, {"sim", 0x223c}, {"spades", 0x2660}, {"sub", 0x2282}, {"sube", 0x2286},
    {"sum", 0x2211}, {"sup", 0x2283}, {"sup1", 0xb9}, {"sup2", 0xb2}, {"sup3", 0xb3},
    {"supe", 0x2287}, {"szlig", 0xdf}, {"tau", 0x3c4}, {"there4", 0x2234}, {"theta", 0x3b8},
    {"thetasym", 0x3d1}, {"thinsp", 0x2009}, {"thorn", 0xfe}, {"tilde", 0x2dc}, {"times", 0xd7},
    {"trade", 0x2122}, {"uArr", 0x21d1}, {"uacute", 0xfa}, {"uarr", 0x2191}, {"ucirc", 0xfb},
    {"ugrave", 0xf9}, {"uml", 0xa8}, {"upsih", 0x3d2}, {"upsilon", 0x3c5}, {"uuml", 0xfc},
    {"weierp", 0x2118}, {"xi", 0x3be}, {"yacute", 0xfd}, {"yen", 0xa5}, {"yuml", 0xff},
    {"zeta", 0x3b6}, {"zwj", 0x200d}, {"zwnj", 0x200c},
};
/* clang-format on */

static int compare_entity(const void *name, const void *entity)
{
    return strcmp(name, ((const struct entity *)entity)->name);
}

static uint32_t named_entity(struct span name)
{
    char text[ENTITY_MAX] = {0};

    if (name.len == 0 || name.len >= sizeof text || memchr(name.ptr, '\0', name.len) != NULL)
        return 0;
    memcpy(text, name.ptr, name.len);
    const struct entity *found = bsearch(text, entities, sizeof entities / sizeof entities[0],
                                         sizeof entities[0], compare_entity);
    return found != NULL ? found->character : 0;
}

static uint32_t numbered_entity(struct span digits)
{
    bool is_hex = digits.len > 0 && ascii_lower(digits.ptr[0]) == 'x';
    uint32_t value = 0;

    digits = span_from(digits, is_hex);
    for (size_t i = 0; i < digits.len; i++) {
        int digit = ascii_hex_value(digits.ptr[i]);
        if (digit < 0 || (!is_hex && digit > 9))
            return 0;
        value = value * (is_hex ? 16 : 10) + (uint32_t)digit;
        if (value > 0x10ffff)
            return 0xfffd;
    }
    bool is_surrogate = value >= 0xd800 && value <= 0xdfff;
    return digits.len == 0 ? 0 : value == 0 || is_surrogate ? 0xfffd : value;
}

/* ---- writing ------------------------------------------------------------------------------ */

static bool is_white(uint32_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == 0xa0;
}

/* Characters that nobody sees, which fill up what mail programs show of a message. */
static bool is_invisible(uint32_t c)
{
    return c == 0xad || c == 0x34f || (c >= 0x200b && c <= 0x200f) || c == 0x2060 || c == 0xfeff;
}

static void put_text(struct html_writer *w, struct span text)
{
    if (w->is_apart && buf_len(w->out) > w->begin)
        buf_add(w->out, SPAN(" "));
    w->is_apart = false;
    buf_add(w->out, text);
}

static void put_character(struct html_writer *w, uint32_t c)
{
    char bytes[UTF8_MAX];

    if (is_white(c))
        w->is_apart = true;
    else if (!is_invisible(c))
        put_text(w, span_of(bytes, utf8_write(c, bytes)));
}

/* Of text that begins with '&'. Returns what was used. */
static size_t read_entity(struct html_writer *w, struct span text)
{
    size_t len = 1;

    while (len < text.len && len < ENTITY_MAX &&
           (ascii_is_alnum(text.ptr[len]) || (len == 1 && text.ptr[len] == '#')))
        len++;
    struct span name = span_from(span_head(text, len), 1);
    bool is_number = name.len > 0 && name.ptr[0] == '#';
    uint32_t c = is_number ? numbered_entity(span_from(name, 1)) : named_entity(name);
    if (c == 0) {
        put_text(w, SPAN("&"));
        return 1;
    }
    put_character(w, c);
    return len < text.len && text.ptr[len] == ';' ? len + 1 : len;
}

/* ---- tags --------------------------------------------------------------------------------- */

static const struct span hidden_tags[] = {{"script", 6}, {"style", 5}, {"title", 5}};

/* They part no words. */
static const struct span inline_tags[] = {
    {"a", 1},    {"abbr", 4},   {"b", 1},      {"bdi", 3},  {"bdo", 3},  {"big", 3},
    {"cite", 4}, {"code", 4},   {"del", 3},    {"em", 2},   {"font", 4}, {"i", 1},
    {"ins", 3},  {"kbd", 3},    {"label", 5},  {"mark", 4}, {"q", 1},    {"s", 1},
    {"samp", 4}, {"small", 5},  {"span", 4},   {"sub", 3},  {"sup", 3},  {"tt", 2},
    {"u", 1},    {"strike", 6}, {"strong", 6}, {"var", 3},  {"wbr", 3},
};

static bool is_one_of(struct span name, const struct span *list, size_t count)
{
    for (size_t i = 0; i < count && name.len > 0; i++)
        if (list[i].len == name.len && list[i].ptr[0] == ascii_lower(name.ptr[0]) &&
            span_equal_nocase(name, list[i]))
            return true;
    return false;
}

#define IS_ONE_OF(name, list) is_one_of(name, list, sizeof(list) / sizeof(list)[0])

static struct span tag_name(struct span text)
{
    size_t len = 0;

    while (len < text.len && len < NAME_MAX_LEN && ascii_is_alnum(text.ptr[len]))
        len++;
    return span_head(text, len);
}

/* Behind the '>' that is in no quotes. */
static size_t tag_len(struct span text)
{
    char quote = '\0';

    for (size_t i = 1; i < text.len; i++) {
        char c = text.ptr[i];
        if (quote != '\0')
            quote = c == quote ? '\0' : quote;
        else if ((c == '"' || c == '\'') && text.ptr[i - 1] == '=')
            quote = c;
        else if (c == '>')
            return i + 1;
    }
    return text.len;
}

/* Behind "</name", or all there is. */
static size_t element_len(struct span text, struct span name)
{
    for (size_t at = 0; at < text.len; at++) {
        at += span_index(span_from(text, at), '<');
        struct span rest = span_from(text, at + 1);
        if (rest.len > 0 && rest.ptr[0] == '/' && span_starts_nocase(span_from(rest, 1), name))
            return at;
    }
    return text.len;
}

static size_t comment_len(struct span text)
{
    const char *end = memmem(text.ptr, text.len, "-->", 3);

    return end != NULL ? (size_t)(end - text.ptr) + 3 : text.len;
}

/* Of text that begins with '<'. Returns what was used. */
static size_t read_tag(struct html_writer *w, struct span text)
{
    struct span rest = span_from(text, 1);

    if (span_starts_nocase(rest, SPAN("!--")))
        return comment_len(text);
    bool is_end = rest.len > 0 && rest.ptr[0] == '/';
    struct span name = tag_name(span_from(rest, is_end));
    if (rest.len == 0 || (!ascii_is_alpha(rest.ptr[0]) && strchr("/!?", rest.ptr[0]) == NULL)) {
        put_text(w, SPAN("<"));
        return 1;
    }
    size_t len = tag_len(text);
    if (!w->is_apart)
        w->is_apart = !IS_ONE_OF(name, inline_tags);
    if (!is_end && IS_ONE_OF(name, hidden_tags))
        len += element_len(span_from(text, len), name);
    return len;
}

/* Returns what was used: a run of ASCII letters, or one character. */
static size_t read_text(struct html_writer *w, struct span text)
{
    size_t len = 0;

    while (len < text.len && (unsigned char)text.ptr[len] > ' ' &&
           (unsigned char)text.ptr[len] < 0x80 && text.ptr[len] != '<' && text.ptr[len] != '&')
        len++;
    if (len > 0) {
        put_text(w, span_head(text, len));
        return len;
    }
    uint32_t c = utf8_read(text, &len);
    if (len > 0)
        put_character(w, c);
    else
        put_text(w, span_head(text, 1));
    return len > 0 ? len : 1;
}

void text_of_html(struct span html, struct buf *out)
{
    struct html_writer w = {.out = out, .begin = buf_len(out)};

    while (html.len > 0) {
        char c = html.ptr[0];
        size_t len;
        if (c == '<')
            len = read_tag(&w, html);
        else if (c == '&')
            len = read_entity(&w, html);
        else
            len = read_text(&w, html);
        html = span_from(html, len);
    }
}
