/*
 * command: IMAP commands (RFC 3501, RFC 9051, and the extensions that are advertised) from bytes to
 * what they mean.
 *
 * A struct imap_reader takes a connection's bytes and finds where a command ends: its line, and the
 * literals within. Pure; bounded; the session does the I/O:
 *
 *   IMAP_READ_MORE      nothing to do until more bytes come
 *   IMAP_READ_CONTINUE  a synchronizing literal has been announced: send "+ OK", go on
 *   IMAP_READ_APPEND    an APPEND's message literal begins (`literal`): the session takes the bytes
 *                       itself, tells imap_reader_taken, and goes on
 *   IMAP_READ_COMMAND   `command` is whole (or refused: problem)
 *
 * Where IMAP_INVALID ends a command whose messages have been taken, none of them is appended.
 *
 * What is refused is still read to its end, so that the client stays in step: announced literals
 * that are too large are refused before their data where they are synchronizing (the client then
 * sends no data), and skipped where they are not. Only so much is skipped, though: a command of
 * which more is announced or comes is handed out as `is_endless`, and no other can follow it (RFC
 * 7888 4 lets a server choose between the two).
 *
 * Mailbox names arrive in modified UTF-7 or, for a client that has enabled it, in UTF-8; here they
 * are UTF-8 always, INBOX in capitals.
 */
#ifndef SMARTHOP_DROP_IMAP_COMMAND_H
#define SMARTHOP_DROP_IMAP_COMMAND_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/span.h"
#include "plugins/drop/mailstore/mailstore.h"

enum {
    IMAP_LINE_MAX = 65536,      /* bytes of a command's lines without its literals */
    IMAP_LITERALS_MAX = 262144, /* bytes of all its literals, but for a message's */
    IMAP_TAG_MAX = 200,
    IMAP_MESSAGES_MAX = 500, /* of one APPEND */
    IMAP_SEARCH_DEPTH_MAX = 50,
    IMAP_SEARCH_KEYS_MAX = 1000,
    IMAP_FETCH_ITEMS_MAX = 200,
    IMAP_RANGES_MAX = 20000,  /* of one set */
    IMAP_PATTERNS_MAX = 4096, /* bytes of all patterns of one LIST, as sent */
};

enum imap_verb {
    IMAP_INVALID, /* problem says why */
    /* any state */
    IMAP_CAPABILITY,
    IMAP_NOOP,
    IMAP_LOGOUT,
    IMAP_ID,
    /* not authenticated */
    IMAP_STARTTLS,
    IMAP_AUTHENTICATE,
    IMAP_LOGIN,
    /* authenticated */
    IMAP_ENABLE,
    IMAP_SELECT,
    IMAP_EXAMINE,
    IMAP_CREATE,
    IMAP_DELETE,
    IMAP_RENAME,
    IMAP_SUBSCRIBE,
    IMAP_UNSUBSCRIBE,
    IMAP_LIST,
    IMAP_LSUB,
    IMAP_NAMESPACE,
    IMAP_STATUS,
    IMAP_APPEND,
    IMAP_IDLE,
    IMAP_GETQUOTA,
    IMAP_GETQUOTAROOT,
    IMAP_SETQUOTA,
    IMAP_COMPRESS,
    /* selected */
    IMAP_CHECK,
    IMAP_CLOSE,
    IMAP_UNSELECT,
    IMAP_EXPUNGE,
    IMAP_SEARCH,
    IMAP_SORT,
    IMAP_THREAD,
    IMAP_FETCH,
    IMAP_STORE,
    IMAP_COPY,
    IMAP_MOVE,
    IMAP_VERBS
};

/* "FETCH"; "" for IMAP_INVALID. */
const char *imap_verb_name(enum imap_verb verb);

/* A sequence set, as written: numbers in any order, "*" is UINT32_MAX. */
struct imap_set {
    struct mailstore_range *ranges; /* first and last as written */
    unsigned count;
    bool is_saved; /* "$" (RFC 5182): what the last search has found */
};

/* Flags of STORE, APPEND, and SEARCH KEYWORD. */
struct imap_flags {
    uint32_t flags; /* bits of enum mailstore_flag; \Recent is not taken */
    struct span *keywords;
    unsigned keyword_count;
};

/* ---- FETCH -------------------------------------------------------------------------------- */

enum imap_item {
    IMAP_ITEM_UID,
    IMAP_ITEM_FLAGS,
    IMAP_ITEM_INTERNALDATE,
    IMAP_ITEM_SIZE,
    IMAP_ITEM_ENVELOPE,
    IMAP_ITEM_BODY_STRUCTURE,
    IMAP_ITEM_BODY_SHORT, /* BODY without a section */
    IMAP_ITEM_SECTION,
    IMAP_ITEM_MODSEQ,
    IMAP_ITEM_EMAILID,
    IMAP_ITEM_THREADID,
    IMAP_ITEM_SAVEDATE,
    IMAP_ITEM_PREVIEW,
};

enum imap_section {
    IMAP_SECTION_ALL, /* BODY[], BODY[1.2] */
    IMAP_SECTION_HEADER,
    IMAP_SECTION_FIELDS,
    IMAP_SECTION_FIELDS_NOT,
    IMAP_SECTION_TEXT,
    IMAP_SECTION_MIME,
};

/* How the answer names it. */
enum imap_section_form {
    IMAP_FORM_BODY,
    IMAP_FORM_BINARY,
    IMAP_FORM_BINARY_SIZE,
    IMAP_FORM_RFC822,
    IMAP_FORM_RFC822_HEADER,
    IMAP_FORM_RFC822_TEXT,
};

struct imap_fetch_item {
    enum imap_item item;
    /* IMAP_ITEM_SECTION */
    enum imap_section_form form;
    enum imap_section section;
    bool is_peek;
    uint32_t *path; /* part numbers */
    unsigned depth;
    struct span *fields; /* FIELDS and FIELDS_NOT */
    unsigned field_count;
    bool is_partial;
    uint64_t from; /* <from.len> */
    uint64_t len;
    bool is_lazy; /* PREVIEW (LAZY) */
};

struct imap_fetch {
    struct imap_set set;
    struct imap_fetch_item *items; /* macros and RFC822.* are resolved; each once */
    unsigned item_count;
    uint64_t changed_since; /* UINT64_MAX = not asked for */
    bool vanished;          /* (CHANGEDSINCE n VANISHED) */
};

/* ---- SEARCH ------------------------------------------------------------------------------- */

enum imap_key {
    IMAP_KEY_ALL,
    IMAP_KEY_AND,
    IMAP_KEY_OR,
    IMAP_KEY_NOT, /* with `child`, its siblings by `next` */
    IMAP_KEY_SEQUENCE,
    IMAP_KEY_UID,     /* set */
    IMAP_KEY_FLAG,    /* flags.flags: one bit set */
    IMAP_KEY_KEYWORD, /* text */
    IMAP_KEY_RECENT,
    IMAP_KEY_HEADER, /* name, text; FROM, TO, CC, BCC, SUBJECT are this too */
    IMAP_KEY_BODY,
    IMAP_KEY_TEXT, /* text */
    IMAP_KEY_BEFORE,
    IMAP_KEY_ON,
    IMAP_KEY_SINCE, /* number: days since 1970 */
    IMAP_KEY_SENT_BEFORE,
    IMAP_KEY_SENT_ON,
    IMAP_KEY_SENT_SINCE,
    IMAP_KEY_SAVED_BEFORE,
    IMAP_KEY_SAVED_ON,
    IMAP_KEY_SAVED_SINCE,
    IMAP_KEY_SAVE_DATE_SUPPORTED,
    IMAP_KEY_LARGER,
    IMAP_KEY_SMALLER, /* number */
    IMAP_KEY_OLDER,
    IMAP_KEY_YOUNGER, /* number: seconds (RFC 5032) */
    IMAP_KEY_MODSEQ,  /* number */
    IMAP_KEY_EMAILID,
    IMAP_KEY_THREADID, /* text */
};

struct imap_search_key {
    enum imap_key key;
    struct imap_search_key *next;
    struct imap_search_key *child;
    struct imap_set set;
    uint32_t flag;
    struct span name;
    struct span text; /* as sent, in the search's charset */
    uint64_t number;  /* of dates, an int64_t */
};

enum imap_search_return {
    IMAP_RETURN_MIN = 1 << 0,
    IMAP_RETURN_MAX = 1 << 1,
    IMAP_RETURN_ALL = 1 << 2,
    IMAP_RETURN_COUNT = 1 << 3,
    IMAP_RETURN_SAVE = 1 << 4,
};

enum imap_sort_key {
    IMAP_SORT_ARRIVAL,
    IMAP_SORT_CC,
    IMAP_SORT_DATE,
    IMAP_SORT_FROM,
    IMAP_SORT_SIZE,
    IMAP_SORT_SUBJECT,
    IMAP_SORT_TO,
    IMAP_SORT_DISPLAYFROM,
    IMAP_SORT_DISPLAYTO,
};
enum { IMAP_SORT_KEYS_MAX = 16 };
enum imap_thread_algorithm { IMAP_THREAD_ORDEREDSUBJECT, IMAP_THREAD_REFERENCES };

struct imap_search {
    struct imap_search_key *root; /* an AND */
    struct span charset;          /* empty = US-ASCII or UTF-8 */
    bool is_extended;             /* RETURN (...): the answer is ESEARCH */
    unsigned returns;             /* bits of enum imap_search_return; RETURN () is ALL */
    bool wants_modseq;            /* a MODSEQ key is in it */
    struct {
        enum imap_sort_key key;
        bool is_reverse;
    } sort[IMAP_SORT_KEYS_MAX];
    unsigned sort_count;
    enum imap_thread_algorithm thread;
};

/* ---- the others --------------------------------------------------------------------------- */

enum imap_status_item {
    IMAP_STATUS_MESSAGES = 1 << 0,
    IMAP_STATUS_RECENT = 1 << 1,
    IMAP_STATUS_UIDNEXT = 1 << 2,
    IMAP_STATUS_UIDVALIDITY = 1 << 3,
    IMAP_STATUS_UNSEEN = 1 << 4,
    IMAP_STATUS_DELETED = 1 << 5,
    IMAP_STATUS_SIZE = 1 << 6,
    IMAP_STATUS_HIGHESTMODSEQ = 1 << 7,
    IMAP_STATUS_APPENDLIMIT = 1 << 8,
    IMAP_STATUS_MAILBOXID = 1 << 9,
    IMAP_STATUS_DELETED_STORAGE = 1 << 10,
};

enum imap_list_option {
    /* selection */
    IMAP_LIST_SUBSCRIBED = 1 << 0,
    IMAP_LIST_REMOTE = 1 << 1,
    IMAP_LIST_RECURSIVEMATCH = 1 << 2,
    IMAP_LIST_SPECIAL_USE = 1 << 3,
    /* return */
    IMAP_LIST_RETURN_SUBSCRIBED = 1 << 4,
    IMAP_LIST_RETURN_CHILDREN = 1 << 5,
    IMAP_LIST_RETURN_SPECIAL_USE = 1 << 6,
    IMAP_LIST_RETURN_STATUS = 1 << 7,
};

struct imap_list {
    struct span reference;
    struct span *patterns; /* UTF-8, with * and % */
    unsigned pattern_count;
    unsigned options; /* bits of enum imap_list_option */
    bool is_extended; /* some option, or several patterns */
    unsigned status;  /* STATUS items to return */
};

struct imap_select {
    struct span name;
    bool condstore;
    bool has_qresync;
    uint32_t uid_validity;
    uint64_t modseq;
    struct imap_set known_uids;      /* count 0 = all */
    struct imap_set match_sequences; /* the optional seq-match-data */
    struct imap_set match_uids;
};

struct imap_store {
    struct imap_set set;
    enum mailstore_change change;
    bool is_silent;
    uint64_t unchanged_since; /* UINT64_MAX = not asked for */
    struct imap_flags flags;
};

enum imap_enable {
    IMAP_ENABLE_CONDSTORE = 1 << 0,
    IMAP_ENABLE_QRESYNC = 1 << 1,
    IMAP_ENABLE_UTF8 = 1 << 2,
    IMAP_ENABLE_REV2 = 1 << 3,
};

struct imap_command {
    enum imap_verb verb;
    bool is_uid;         /* UID FETCH, UID SEARCH, ... */
    struct span tag;     /* "" = it had none that can be used: answer "* BAD" */
    const char *problem; /* IMAP_INVALID: what the BAD says; static */
    const char *code;    /* a response code for it, "TOOBIG", "BADCHARSET", ...; NULL = none */
    bool is_no;          /* the refusal is a NO, not a BAD */
    bool is_endless;     /* refused, and its end is not waited for: the session is over */
    struct arena arena;  /* of all that it points to */
    union {
        struct {
            struct span name, version; /* what the client calls itself; empty = it does not say */
        } id;
        struct {
            struct span mechanism;
            bool has_initial;
            struct span initial; /* base64 as sent; "=" is empty */
        } authenticate;
        struct {
            struct span user;
            struct span password;
        } login;
        struct {
            unsigned known;
        } enable;
        struct imap_select select; /* EXAMINE too */
        struct {
            struct span name;
            enum mailstore_use use;
        } create;
        struct {
            struct span from, to;
        } rename;
        struct span name;      /* DELETE, SUBSCRIBE, UNSUBSCRIBE, GETQUOTA, GETQUOTAROOT */
        struct imap_list list; /* LSUB too */
        struct {
            struct span name;
            unsigned items;
        } status;
        struct {
            struct span name;
            unsigned messages;
        } append; /* how many were taken */
        struct {
            struct span root;
            uint64_t storage_kib, messages;
            bool has_storage, has_messages;
        } quota;
        struct {
            struct imap_set set;
        } expunge;                 /* of UID EXPUNGE */
        struct imap_search search; /* SORT, THREAD */
        struct imap_fetch fetch;
        struct imap_store store;
        struct {
            struct imap_set set;
            struct span name;
        } copy; /* MOVE too */
    };
};

/* One message of an APPEND whose literal begins now. */
struct imap_append_literal {
    struct span name; /* of the mailbox */
    struct imap_flags flags;
    bool has_date;
    int64_t date;          /* seconds since 1970 */
    int zone;              /* minutes east */
    uint64_t size;         /* bytes that follow */
    bool is_utf8;          /* UTF8 (~{...}) or a literal8 */
    bool is_synchronizing; /* send "+ OK" first, or refuse it */
    unsigned index;        /* 0 for the first message of the command */
};

enum imap_read { IMAP_READ_MORE, IMAP_READ_CONTINUE, IMAP_READ_APPEND, IMAP_READ_COMMAND };

struct imap_reader;

/* `utf8`: names come in UTF-8 (the client has enabled it); may change between commands.
 * `append_max`: bytes of a message. */
struct imap_reader *imap_reader_create(void);
void imap_reader_free(struct imap_reader *reader);
void imap_reader_set_utf8(struct imap_reader *reader, bool utf8);
void imap_reader_set_append_max(struct imap_reader *reader, uint64_t bytes);
/* Less than IMAP_LINE_MAX and IMAP_LITERALS_MAX, for clients that nobody knows yet. (As much as RFC
 * 2971 allows in an ID is 32 KiB.) */
void imap_reader_set_bounds(struct imap_reader *reader, size_t line_max, size_t literals_max);
/* Bytes of a refused command that are read and thrown away, behind what it is refused for; no bound
 * until it is set. What imap_reader_dropped was told of does not count. */
void imap_reader_set_skip_max(struct imap_reader *reader, uint64_t bytes);

/*
 * Takes bytes off the front of *input: as far as a command goes. With IMAP_READ_COMMAND
 * *command_out is the reader's, valid until the next call; its arena goes then. IMAP_READ_APPEND:
 * *literal_out likewise. `reply_out` of IMAP_READ_CONTINUE needs no text of its own.
 */
enum imap_read imap_read(struct imap_reader *reader, struct span *input,
                         struct imap_command **command_out,
                         struct imap_append_literal **literal_out);
/* The literal's bytes have been taken off the input by the session; go on behind it. */
void imap_reader_taken(struct imap_reader *reader);
/* The message will not be taken (no such mailbox, too large), and its bytes have not come: a
 * synchronizing client has not been sent "+", and sends nothing more of the command. It completes
 * as IMAP_APPEND with what was taken, by the next imap_read, and the session says NO then. (Of a
 * client that does not synchronize this is imap_reader_dropped.) */
void imap_reader_refuse(struct imap_reader *reader);
/* The message's bytes have come and were thrown away by the session; the rest of the command is
 * skipped, and it completes as with imap_reader_refuse. */
void imap_reader_dropped(struct imap_reader *reader);
/* Whether a command has begun: its line is not whole yet. */
bool imap_reader_is_within(const struct imap_reader *reader);

/* Modified UTF-7 (RFC 3501 5.1.3) and back; false where the name is not that. */
bool imap_utf7_decode(struct span name, struct buf *out);
void imap_utf7_encode(struct span name, struct buf *out);

/* Whether a name fits a pattern of LIST: * is anything, % anything but '/'. Costs at most the
 * product of their lengths; a name is at most MAILSTORE_NAME_MAX bytes. */
bool imap_pattern_matches(struct span pattern, struct span name);

#endif
