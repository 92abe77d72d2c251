#include "sendmail/submit.h"

#include "proto/dot.h"
#include "proto/smtp_ehlo.h"
#include "proto/xtext.h"
#include "sendmail/client.h"
#include "sendmail/say.h"

#include <assert.h>

enum { BLOCK = 64 * 1024 };

struct dialogue {
    struct submission *s;
    struct client client;
    unsigned extensions; /* bits of enum smtp_extension */
    size_t done;         /* recipients whose transactions the server has taken */
    size_t named;        /* and those of the transaction under way */
};

static bool offers(const struct dialogue *d, enum smtp_extension extension)
{
    return (d->extensions & (unsigned)extension) != 0;
}

static int say_hello(struct dialogue *d)
{
    struct smtp_ehlo ehlo;

    int result = client_command(&d->client, "EHLO %s", d->s->hostname);
    if (result == EX_OK)
        result = client_expect(&d->client, 2, "EHLO");
    if (result != EX_OK)
        return result;
    smtp_ehlo_parse(&d->client.reply, &ehlo);
    d->extensions = ehlo.extensions;
    return EX_OK;
}

/* The parameters of MAIL that the server offers: what it cannot take is left out, as the message
 * matters more than the wish. */
static void add_mail_params(const struct dialogue *d, struct buf *out)
{
    const struct submission *s = d->s;
    const struct options *options = s->options;
    struct arena arena;

    if (offers(d, SMTP_EXT_SIZE))
        buf_addf(out, " SIZE=%llu", (unsigned long long)s->message.size);
    if (offers(d, SMTP_EXT_8BITMIME) && (options->body != NULL || s->message.eight_bit))
        buf_addf(out, " BODY=%s", options->body != NULL ? options->body : "8BITMIME");
    if (offers(d, SMTP_EXT_SMTPUTF8) && (s->sender_utf8 || s->recipients.utf8))
        buf_addf(out, " SMTPUTF8");
    if (!offers(d, SMTP_EXT_DSN))
        return;
    if (options->ret != NULL)
        buf_addf(out, " RET=%s", options->ret);
    if (options->envid == NULL)
        return;
    arena_init(&arena);
    buf_addf(out, " ENVID=%.*s", SPAN_ARG(xtext_encode(span_cstr(options->envid), &arena)));
    arena_fini(&arena);
}

static int name_sender(struct dialogue *d)
{
    struct buf params;

    buf_init(&params, 0);
    add_mail_params(d, &params);
    int result = client_command(&d->client, "MAIL FROM:<%.*s>%.*s", SPAN_ARG(d->s->sender),
                                SPAN_ARG(buf_span(&params)));
    buf_fini(&params);
    return result == EX_OK ? client_expect(&d->client, 2, "the sender is refused") : result;
}

/* RFC 5321 4.5.3.1.10: not a refusal of this recipient; it is for the next transaction. */
static bool has_enough(const struct smtp_reply *reply)
{
    const struct enhanced_code *code = &reply->enhanced;

    return reply->code == 452 && (code->klass == 0 || (code->subject == 5 && code->detail == 3));
}

static int name_recipients(struct dialogue *d)
{
    const struct submission *s = d->s;
    const char *notify = offers(d, SMTP_EXT_DSN) ? s->options->notify : NULL;

    for (d->named = 0; d->done + d->named < s->recipients.count; d->named++) {
        struct span recipient = s->recipients.items[d->done + d->named];
        int result = client_command(&d->client, "RCPT TO:<%.*s>%s%s", SPAN_ARG(recipient),
                                    notify != NULL ? " NOTIFY=" : "", notify != NULL ? notify : "");
        if (result != EX_OK)
            return result;
        if (d->named > 0 && has_enough(&d->client.reply))
            return EX_OK;
        result = client_expect(&d->client, 2, recipient.ptr);
        if (result != EX_OK)
            return result;
    }
    return EX_OK;
}

static int send_content(struct dialogue *d, struct buf *wire)
{
    struct message *message = &d->s->message;
    struct dot_encoder encoder;
    char block[BLOCK];
    struct span piece;
    int result = EX_OK;

    dot_encoder_init(&encoder);
    message_rewind(message);
    do {
        if (!message_next(message, block, sizeof block, &piece))
            return say(EX_IOERR, "the temporary file cannot be read");
        bool end = piece.len == 0;
        /* Dots at most double it, so that one call takes all of it. */
        dot_encode(&encoder, &piece, wire, sizeof block * 2);
        bool whole = !end || dot_encode_end(&encoder, wire);
        assert(whole); /* the buffer has no bound */
        result = client_send(&d->client, buf_span(wire));
        buf_clear(wire);
        if (end)
            return result;
    } while (result == EX_OK);
    return result;
}

static int send_message(struct dialogue *d)
{
    struct buf wire;

    int result = client_command(&d->client, "DATA");
    if (result == EX_OK)
        result = client_expect(&d->client, 3, "the message is refused");
    if (result != EX_OK)
        return result;
    buf_init(&wire, 0);
    result = send_content(d, &wire);
    buf_fini(&wire);
    if (result == EX_OK)
        result = client_reply(&d->client);
    return result == EX_OK ? client_expect(&d->client, 2, "the message is refused") : result;
}

static int transact(struct dialogue *d)
{
    int result = name_sender(d);

    if (result == EX_OK)
        result = name_recipients(d);
    if (result == EX_OK)
        result = send_message(d);
    if (result == EX_OK)
        d->done += d->named;
    return result;
}

/* The caller will take a failure for that of all recipients: it has to know where it is not. */
static void tell_partial(const struct dialogue *d)
{
    const struct address_list *recipients = &d->s->recipients;

    if (d->done == 0)
        return;
    say(EX_OK, "the message has been taken for %zu of %zu recipients, up to %.*s", d->done,
        recipients->count, SPAN_ARG(recipients->items[d->done - 1]));
}

int submit(struct submission *s)
{
    struct dialogue d = {.s = s};

    int result = client_open(&d.client, s->socket, s->options->verbose);
    if (result == EX_OK)
        result = say_hello(&d);
    while (result == EX_OK && d.done < s->recipients.count)
        result = transact(&d);
    if (result != EX_OK)
        tell_partial(&d);
    else
        client_quit(&d.client);
    client_close(&d.client);
    return result;
}
