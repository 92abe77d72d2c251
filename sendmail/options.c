#include "sendmail/options.h"

#include "proto/esmtp.h"
#include "proto/xtext.h"
#include "sendmail/say.h"

#include <getopt.h>
#include <string.h>

/* -A, -G, -L, -O, -U, -X, -d, -e, -h, -m, -n, -o, -p and -x are taken, with their values, because
 * callers give them; what they ask for has no meaning here. -oi is -i. */
static const char option_letters[] = ":A:B:C:F:GIL:N:O:R:UV:X:b:c:d::e:f:h:imno:p:q::r:tvx:";

static bool parse_mode(const char *letter, enum mode *out)
{
    static const struct {
        const char *letter;
        enum mode mode;
    } modes[] = {{"m", MODE_SUBMIT}, {"s", MODE_DIALOGUE}, {"p", MODE_LIST}, {"i", MODE_ALIASES}};

    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (strcmp(letter, modes[i].letter) == 0) {
            *out = modes[i].mode;
            return true;
        }
    return false;
}

/* Whether an ESMTP parameter may have this value, by the rules that the server has. */
static int check_param(char option, struct span keyword, struct span value)
{
    /* Nothing but BINARYMIME, which DATA cannot carry, is kept from the caller. */
    static const struct esmtp_offer offer = {.extensions = ~(unsigned)SMTP_EXT_BINARYMIME};
    struct smtp_params params = {
        .list = {{.keyword = keyword, .value = value, .has_value = value.len > 0}}, .count = 1};
    struct esmtp_mail mail;
    struct esmtp_rcpt rcpt;
    struct arena arena;

    arena_init(&arena);
    enum esmtp_error error = option == 'N' ? esmtp_parse_rcpt(&params, &offer, &arena, &rcpt, NULL)
                                           : esmtp_parse_mail(&params, &offer, &arena, &mail, NULL);
    arena_fini(&arena);
    if (error == ESMTP_OK)
        return EX_OK;
    return say(EX_USAGE, "-%c: %.*s", option, SPAN_ARG(esmtp_error_status(error).text));
}

static int check_envid(const char *envid)
{
    struct arena arena;

    arena_init(&arena);
    int result = check_param('V', SPAN("ENVID"), xtext_encode(span_cstr(envid), &arena));
    arena_fini(&arena);
    return result;
}

static int take_full_name(struct options *o, const char *name)
{
    for (const char *c = name; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return say(EX_USAGE, "-F: a name holds no control characters");
    o->full_name = name;
    return EX_OK;
}

static int take_delivery_option(struct options *o, int letter, const char *value)
{
    switch (letter) {
    case 'B':
        o->body = value;
        return check_param('B', SPAN("BODY"), span_cstr(value));
    case 'N':
        o->notify = value;
        return check_param('N', SPAN("NOTIFY"), span_cstr(value));
    case 'R':
        o->ret = value;
        return check_param('R', SPAN("RET"), span_cstr(value));
    case 'V':
        o->envid = value;
        return check_envid(value);
    default:
        return EX_OK;
    }
}

static int take_option(struct options *o, int letter, const char *value)
{
    switch (letter) {
    case 'C':
    case 'c':
        o->config = value;
        return EX_OK;
    case 'F':
        return take_full_name(o, value);
    case 'I':
        o->mode = MODE_ALIASES;
        return EX_OK;
    case 'b':
        if (!parse_mode(value, &o->mode))
            return say(EX_USAGE, "-b%s: there is no such mode here", value);
        return EX_OK;
    case 'f':
    case 'r':
        o->sender = value;
        return EX_OK;
    case 'i':
        o->dot_is_text = true;
        return EX_OK;
    case 'o':
        o->dot_is_text |= value[0] == 'i';
        return EX_OK;
    case 'q':
        o->mode = MODE_FLUSH;
        return EX_OK;
    case 't':
        o->header_recipients = true;
        return EX_OK;
    case 'v':
        o->verbose = true;
        return EX_OK;
    case ':':
        return say(EX_USAGE, "-%c needs a value", optopt);
    case '?':
        return say(EX_USAGE, "there is no option -%c", optopt);
    default:
        return take_delivery_option(o, letter, value);
    }
}

static enum mode mode_of_name(const char *program)
{
    const char *slash = strrchr(program, '/');
    const char *name = slash != NULL ? slash + 1 : program;

    if (strcmp(name, "mailq") == 0)
        return MODE_LIST;
    return strcmp(name, "newaliases") == 0 ? MODE_ALIASES : MODE_SUBMIT;
}

int options_parse(int argc, char **argv, struct options *out)
{
    int result = EX_OK;
    int letter;

    *out = (struct options){.mode = mode_of_name(argv[0])};
    while (result == EX_OK && (letter = getopt(argc, argv, option_letters)) != -1)
        result = take_option(out, letter, optarg);
    out->recipients = argv + optind;
    out->recipient_count = argc - optind;
    return result;
}
