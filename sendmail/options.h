/*
 * options: sendmail's command line, as the programs that call it expect it to be read.
 */
#ifndef SMARTHOP_SENDMAIL_OPTIONS_H
#define SMARTHOP_SENDMAIL_OPTIONS_H

#include <stdbool.h>

enum mode {
    MODE_SUBMIT = 0, /* -bm: a message on standard input */
    MODE_DIALOGUE,   /* -bs: SMTP on standard input and output */
    MODE_LIST,       /* -bp, mailq */
    MODE_FLUSH,      /* -q */
    MODE_ALIASES,    /* -bi, newaliases: there are none, so there is nothing to do */
};

/* All text belongs to argv; NULL where it was not given. */
struct options {
    enum mode mode;
    const char *config;
    const char *sender;     /* -f, -r: may be empty */
    const char *full_name;  /* -F, without control characters */
    bool header_recipients; /* -t */
    bool dot_is_text;       /* -i: a lone dot ends nothing */
    bool verbose;
    const char *body;   /* -B, checked: the value of BODY= */
    const char *notify; /* -N, checked: the value of NOTIFY= */
    const char *ret;    /* -R, checked: the value of RET= */
    const char *envid;  /* -V, not encoded */
    char **recipients;
    int recipient_count;
};

/* EX_OK, or EX_USAGE once it has been said why. */
int options_parse(int argc, char **argv, struct options *out);

#endif
