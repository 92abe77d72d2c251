/*
 * Which command does what, and in which state of the session; and the small ones.
 */
#include "plugins/drop/imap/session.h"
#include "plugins/drop/imap/write.h"

#include "auth/sasl.h"

bool imap_has_condstore(const struct imap_session *s)
{
    return imap_has(s, IMAP_ENABLE_CONDSTORE) || imap_has(s, IMAP_ENABLE_QRESYNC);
}

static void tell_modseq(struct imap_session *s)
{
    buf_addf(imap_out(s), "* OK [HIGHESTMODSEQ %llu] Highest\r\n",
             (unsigned long long)s->view.changed);
    imap_written(s);
}

void imap_use_condstore(struct imap_session *s)
{
    if (imap_has_condstore(s))
        return;
    s->enabled |= IMAP_ENABLE_CONDSTORE;
    if (imap_is_selected(s))
        tell_modseq(s);
}

/* ---- CAPABILITY --------------------------------------------------------------------------- */

static void write_mechanisms(struct imap_session *s, struct buf *out)
{
    unsigned offered = login_mechanisms(&s->drop);

    for (unsigned i = 0; i < SASL_MECHANISMS; i++)
        if (offered >> i & 1)
            buf_addf(out, " AUTH=%s", sasl_mechanism_name(i));
}

void imap_write_capabilities(struct imap_session *s, struct buf *out)
{
    buf_add(out, SPAN("IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ID ENABLE IDLE"));
    if (!imap_is_logged_in(s)) {
        if (!s->drop.is_tls && drop_worker_has_tls(s->drop.worker))
            buf_add(out, SPAN(" STARTTLS"));
        if (!drop_session_may_log_in(&s->drop))
            buf_add(out, SPAN(" LOGINDISABLED"));
        write_mechanisms(s, out);
        return;
    }
    buf_add(out, SPAN(" NAMESPACE SPECIAL-USE CHILDREN UNSELECT UIDPLUS MOVE CONDSTORE ESEARCH"
                      " LIST-EXTENDED LIST-STATUS UTF8=ACCEPT STATUS=SIZE QRESYNC BINARY"
                      " SEARCHRES SORT THREAD=ORDEREDSUBJECT THREAD=REFERENCES WITHIN MULTIAPPEND"
                      " QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE OBJECTID PREVIEW SAVEDATE"
                      " CREATE-SPECIAL-USE"));
    if (!s->is_compressed)
        buf_add(out, SPAN(" COMPRESS=DEFLATE"));
    buf_addf(out, " APPENDLIMIT=%llu",
             (unsigned long long)s->drop.worker->settings->message_size_max);
}

static void do_capability(struct imap_session *s)
{
    struct buf *out = imap_out(s);

    buf_add(out, SPAN("* CAPABILITY "));
    imap_write_capabilities(s, out);
    buf_add(out, SPAN("\r\n"));
    imap_written(s);
    imap_say_ok(s, "These are the capabilities");
}

/* ---- the small ones ----------------------------------------------------------------------- */

static void do_noop(struct imap_session *s)
{
    imap_say_ok(s, "Done");
}

static void do_logout(struct imap_session *s)
{
    buf_add(imap_out(s), SPAN("* BYE Logging out\r\n"));
    buf_add(imap_out(s), s->command->tag);
    buf_add(imap_out(s), SPAN(" OK Goodbye\r\n"));
    imap_written(s);
    imap_hang_up(s, "logged out");
}

static void do_id(struct imap_session *s)
{
    struct log_line line;

    if (s->command->id.name.len > 0 && drop_session_log(&s->drop, &line, LOG_INFO, "imap-client")) {
        log_span(&line, "name", s->command->id.name);
        log_span(&line, "version", s->command->id.version);
        log_end(&line);
    }
    imap_untagged(s, "ID (\"name\" \"Smarthop\")");
    imap_say_ok(s, "Nice to meet you");
}

static void do_enable(struct imap_session *s)
{
    unsigned fresh = s->command->enable.known & ~s->enabled;
    struct buf *out = imap_out(s);

    if (imap_is_selected(s) && (fresh & (IMAP_ENABLE_UTF8 | IMAP_ENABLE_REV2)) != 0) {
        imap_say_bad(s, "Not while a mailbox is selected");
        return;
    }
    buf_add(out, SPAN("* ENABLED"));
    if (fresh & IMAP_ENABLE_CONDSTORE)
        buf_add(out, SPAN(" CONDSTORE"));
    if (fresh & IMAP_ENABLE_QRESYNC)
        buf_add(out, SPAN(" QRESYNC"));
    if (fresh & IMAP_ENABLE_UTF8)
        buf_add(out, SPAN(" UTF8=ACCEPT"));
    if (fresh & IMAP_ENABLE_REV2)
        buf_add(out, SPAN(" IMAP4rev2"));
    buf_add(out, SPAN("\r\n"));
    imap_written(s);
    if (fresh & (IMAP_ENABLE_CONDSTORE | IMAP_ENABLE_QRESYNC))
        imap_use_condstore(s);
    s->enabled |= fresh;
    imap_reader_set_utf8(s->reader, imap_is_utf8(s));
    imap_say_ok(s, "Enabled");
}

/* The answer itself is the last that is not compressed. */
static void do_compress(struct imap_session *s)
{
    if (s->is_compressed) {
        imap_say_no(s, "COMPRESSIONACTIVE", "DEFLATE is active already");
        return;
    }
    s->is_compressed = true;
    s->outcome = IMAP_OK;
    s->code = NULL;
    s->text = "DEFLATE is active";
    imap_answer(s);
    conn_compress(s->drop.conn);
}

static void do_namespace(struct imap_session *s)
{
    imap_untagged(s, "NAMESPACE ((\"\" \"/\")) NIL NIL");
    imap_say_ok(s, "Done");
}

static void do_starttls(struct imap_session *s)
{
    if (s->drop.is_tls || !drop_worker_has_tls(s->drop.worker)) {
        imap_say_bad(s, s->drop.is_tls ? "TLS is active already" : "TLS is not offered here");
        return;
    }
    imap_say_ok(s, "Begin the TLS negotiation now");
    if (s->state == IMAP_SESSION_CLOSED)
        return;
    imap_enter(s, IMAP_SESSION_HANDSHAKE);
    drop_session_start_tls(&s->drop);
}

static void do_invalid(struct imap_session *s)
{
    const struct imap_command *command = s->command;

    if (command->is_no)
        imap_say_no(s, command->code, command->problem);
    else if (command->code != NULL)
        imap_say_bad(s, arena_printf(&s->arena, "[%s] %s", command->code, command->problem).ptr);
    else
        imap_say_bad(s, command->problem);
}

/* ---- the table ---------------------------------------------------------------------------- */

enum when { ALWAYS, NOT_LOGGED_IN, LOGGED_IN, SELECTED };

static const struct {
    imap_step *execute; /* NULL = not known here */
    enum when when;
} table[IMAP_VERBS] = {
    [IMAP_INVALID] = {do_invalid, ALWAYS},
    [IMAP_CAPABILITY] = {do_capability, ALWAYS},
    [IMAP_NOOP] = {do_noop, ALWAYS},
    [IMAP_LOGOUT] = {do_logout, ALWAYS},
    [IMAP_ID] = {do_id, ALWAYS},
    [IMAP_COMPRESS] = {do_compress, LOGGED_IN},
    [IMAP_STARTTLS] = {do_starttls, NOT_LOGGED_IN},
    [IMAP_AUTHENTICATE] = {imap_do_authenticate, NOT_LOGGED_IN},
    [IMAP_LOGIN] = {imap_do_login, NOT_LOGGED_IN},
    [IMAP_ENABLE] = {do_enable, LOGGED_IN},
    [IMAP_SELECT] = {imap_do_select, LOGGED_IN},
    [IMAP_EXAMINE] = {imap_do_select, LOGGED_IN},
    [IMAP_CREATE] = {imap_do_create, LOGGED_IN},
    [IMAP_DELETE] = {imap_do_delete, LOGGED_IN},
    [IMAP_RENAME] = {imap_do_rename, LOGGED_IN},
    [IMAP_SUBSCRIBE] = {imap_do_subscribe, LOGGED_IN},
    [IMAP_UNSUBSCRIBE] = {imap_do_subscribe, LOGGED_IN},
    [IMAP_LIST] = {imap_do_list, LOGGED_IN},
    [IMAP_LSUB] = {imap_do_list, LOGGED_IN},
    [IMAP_NAMESPACE] = {do_namespace, LOGGED_IN},
    [IMAP_STATUS] = {imap_do_status, LOGGED_IN},
    [IMAP_APPEND] = {imap_do_append, LOGGED_IN},
    [IMAP_IDLE] = {imap_do_idle, LOGGED_IN},
    [IMAP_GETQUOTA] = {imap_do_getquota, LOGGED_IN},
    [IMAP_GETQUOTAROOT] = {imap_do_getquotaroot, LOGGED_IN},
    [IMAP_SETQUOTA] = {imap_do_setquota, LOGGED_IN},
    [IMAP_CHECK] = {do_noop, SELECTED},
    [IMAP_CLOSE] = {imap_do_close, SELECTED},
    [IMAP_UNSELECT] = {imap_do_unselect, SELECTED},
    [IMAP_EXPUNGE] = {imap_do_expunge, SELECTED},
    [IMAP_SEARCH] = {imap_do_search, SELECTED},
    [IMAP_SORT] = {imap_do_search, SELECTED},
    [IMAP_THREAD] = {imap_do_search, SELECTED},
    [IMAP_FETCH] = {imap_do_fetch, SELECTED},
    [IMAP_STORE] = {imap_do_store, SELECTED},
    [IMAP_COPY] = {imap_do_copy, SELECTED},
    [IMAP_MOVE] = {imap_do_copy, SELECTED},
};

static const char *objection(const struct imap_session *s, enum when when)
{
    switch (when) {
    case ALWAYS:
        return NULL;
    case NOT_LOGGED_IN:
        return imap_is_logged_in(s) ? "You are logged in already" : NULL;
    case LOGGED_IN:
        return imap_is_logged_in(s) ? NULL : "Log in first";
    case SELECTED:
        if (!imap_is_logged_in(s))
            return "Log in first";
        return imap_is_selected(s) ? NULL : "Select a mailbox first";
    }
    return NULL;
}

void imap_execute(struct imap_session *s)
{
    enum imap_verb verb = s->command->verb;
    const char *problem = objection(s, table[verb].when);

    if (s->command->is_endless)
        imap_bye(s, "[TOOBIG] More would follow than is read of what is refused",
                 "refused command goes on and on");
    else if (table[verb].execute == NULL)
        imap_say_bad(s, "This command is not known here");
    else if (problem != NULL)
        imap_say_bad(s, problem);
    else
        table[verb].execute(s);
}
