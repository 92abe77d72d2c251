/*
 * drop_fuzz: a whole session of the drop under a fuzzer: a client of a drop_rig whose bytes are the
 * input. Its first byte says how they are cut; a byte of 0xff makes the client wait for what it has
 * said so far to be answered.
 */
#ifndef SMARTHOP_TESTS_DROP_FUZZ_H
#define SMARTHOP_TESTS_DROP_FUZZ_H

#include "support/drop_rig.h"
#include "support/fuzz.h"

enum { DROP_FUZZ_PAUSE = 0xff, DROP_FUZZ_ROUNDS = 12 };

struct drop_fuzz {
    int fd;
    bool eof;
    struct buf replies;
};

static inline void drop_fuzz_turn(struct drop_fuzz *f, int rounds)
{
    char bytes[65536];
    ssize_t len;

    for (int i = 0; i < rounds; i++)
        drop_rig_turn();
    while ((len = recv(f->fd, bytes, sizeof bytes, 0)) > 0)
        buf_add(&f->replies, span_of(bytes, (size_t)len));
    f->eof = len == 0 || (errno != EAGAIN && errno != EINTR);
}

static inline void drop_fuzz_send(struct drop_fuzz *f, struct span bytes)
{
    while (bytes.len > 0 && !f->eof) {
        ssize_t len = send(f->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (len > 0)
            bytes = span_from(bytes, (size_t)len);
        drop_fuzz_turn(f, 1);
    }
}

/* `before` is said in any case. All that the server says is in f->replies, for the caller to free.
 */
static inline void drop_fuzz_session(struct drop_fuzz *f, const struct drop_protocol *protocol,
                                     struct span before, struct span input)
{
    uint32_t seed = fuzz_seed(&input);

    *f = (struct drop_fuzz){.fd = drop_rig_connect(protocol)};
    buf_init(&f->replies, 0);
    drop_fuzz_send(f, before);
    while (input.len > 0) {
        struct span section = span_split(input, (char)DROP_FUZZ_PAUSE, &input);
        while (section.len > 0) {
            size_t len = fuzz_piece(&seed, section.len);
            drop_fuzz_send(f, span_head(section, len));
            section = span_from(section, len);
        }
        drop_fuzz_turn(f, DROP_FUZZ_ROUNDS);
    }
    shutdown(f->fd, SHUT_WR);
    while (!f->eof)
        drop_fuzz_turn(f, 1);
    close(f->fd);
    while (drop_rig.sessions > 0)
        drop_rig_turn();
}

#endif
