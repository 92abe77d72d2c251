/*
 * Decoders give the same however the input is cut, and no more than they may; what is to be UTF-8
 * is. The first byte chooses how the input is cut, the second what it is.
 */
#include "plugins/drop/mime/text.h"
#include "proto/utf8.h"
#include "tests/support/fuzz.h"

static const char *const charsets[] = {
    "",       "utf-8",     "iso-8859-1", "windows-1252", "iso-2022-jp", "utf-7",
    "gb2312", "shift_jis", "big5",       "utf-16",       "euc-kr",      "koi8-r"};
enum { CHARSETS = sizeof charsets / sizeof charsets[0] };

static bool transfer(struct span input, uint32_t seed, bool whole, enum mime_encoding encoding,
                     struct buf *out)
{
    struct text_transfer t;

    text_transfer_init(&t, encoding);
    while (input.len > 0) {
        struct span piece = span_head(input, whole ? input.len : fuzz_piece(&seed, input.len));
        text_transfer_feed(&t, piece, out);
        input = span_from(input, piece.len);
    }
    return text_transfer_end(&t, out);
}

static void convert(struct span input, uint32_t seed, bool whole, const char *name, struct buf *out)
{
    struct text_charset *charset = text_charset_create(span_cstr(name));

    while (input.len > 0) {
        struct span piece = span_head(input, whole ? input.len : fuzz_piece(&seed, input.len));
        text_charset_feed(charset, piece, out);
        input = span_from(input, piece.len);
    }
    text_charset_end(charset, out);
    text_charset_free(charset);
}

static void check_transfer(struct span input, uint32_t seed, enum mime_encoding encoding)
{
    struct buf whole, pieces;

    buf_init(&whole, 0);
    buf_init(&pieces, 0);
    bool is_fine = transfer(input, seed, true, encoding, &whole);
    MUST(transfer(input, seed, false, encoding, &pieces) == is_fine);
    MUST(span_equal(buf_span(&whole), buf_span(&pieces)) && buf_len(&whole) <= input.len);
    buf_fini(&whole);
    buf_fini(&pieces);
}

static void check_charset(struct span input, uint32_t seed, const char *name)
{
    struct buf whole, pieces;

    buf_init(&whole, 0);
    buf_init(&pieces, 0);
    convert(input, seed, true, name, &whole);
    convert(input, seed, false, name, &pieces);
    MUST(span_equal(buf_span(&whole), buf_span(&pieces)));
    MUST(utf8_is_valid(buf_span(&whole)));
    buf_fini(&whole);
    buf_fini(&pieces);
}

/* Folded text stays so. */
static void check_fold(struct span text)
{
    struct buf once, twice;

    buf_init(&once, 0);
    buf_init(&twice, 0);
    text_fold(text, &once);
    text_fold(buf_span(&once), &twice);
    MUST(span_equal(buf_span(&once), buf_span(&twice)));
    MUST(utf8_is_valid(text) == utf8_is_valid(buf_span(&once)));
    MUST(text_contains(buf_span(&once), buf_span(&twice)));
    buf_fini(&once);
    buf_fini(&twice);
}

static void check_words(struct span input)
{
    struct buf words, base, html;

    buf_init(&words, 0);
    buf_init(&base, 0);
    buf_init(&html, 0);
    text_words(input, &words);
    MUST(utf8_is_valid(buf_span(&words)));
    text_base_subject(input, &base);
    MUST(utf8_is_valid(buf_span(&base)));
    text_of_html(input, &html);
    MUST(!utf8_is_valid(input) || utf8_is_valid(buf_span(&html)));
    buf_fini(&words);
    buf_fini(&base);
    buf_fini(&html);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of((const char *)data, size);
    uint32_t seed = fuzz_seed(&input);
    uint32_t kind = fuzz_seed(&input);

    check_transfer(input, seed, (enum mime_encoding)(kind % (MIME_OTHER + 1)));
    check_charset(input, seed, charsets[kind % CHARSETS]);
    check_fold(input);
    check_words(input);
    text_charset_is_known(input);
    return 0;
}
