/* What each part of a session takes. */
#include "deliver/session.h"

static const enum deliver_phase phase_of[DELIVER_STATE_COUNT] = {
    [DELIVER_STATE_CONNECT] = DELIVER_PHASE_CONNECT,
    [DELIVER_STATE_RECONNECT] = DELIVER_PHASE_CONNECT,
    [DELIVER_STATE_GREETING] = DELIVER_PHASE_HELLO,
    [DELIVER_STATE_EHLO] = DELIVER_PHASE_HELLO,
    [DELIVER_STATE_HELO] = DELIVER_PHASE_HELLO,
    [DELIVER_STATE_STARTTLS] = DELIVER_PHASE_TLS,
    [DELIVER_STATE_HANDSHAKE] = DELIVER_PHASE_TLS,
    [DELIVER_STATE_EHLO_TLS] = DELIVER_PHASE_HELLO,
    [DELIVER_STATE_AUTH] = DELIVER_PHASE_LOGIN,
    [DELIVER_STATE_DERIVE] = DELIVER_PHASE_LOGIN,
    [DELIVER_STATE_XFORWARD] = DELIVER_PHASE_ENVELOPE,
    [DELIVER_STATE_MAIL] = DELIVER_PHASE_ENVELOPE,
    [DELIVER_STATE_RCPT] = DELIVER_PHASE_ENVELOPE,
    [DELIVER_STATE_DATA] = DELIVER_PHASE_ENVELOPE,
    [DELIVER_STATE_BODY] = DELIVER_PHASE_DATA,
    [DELIVER_STATE_FINAL] = DELIVER_PHASE_FINAL,
    [DELIVER_STATE_FINAL_EACH] = DELIVER_PHASE_FINAL,
};

void deliver_phase_end(struct deliver_session *s)
{
    uint64_t now = loop_now(s->options.loop);

    s->phases[phase_of[s->state]] += now - s->entered_ms;
    s->entered_ms = now;
}

void deliver_phases_begin(struct deliver_session *s)
{
    s->phases[DELIVER_PHASE_ENVELOPE] = 0;
    s->phases[DELIVER_PHASE_DATA] = 0;
    s->phases[DELIVER_PHASE_FINAL] = 0;
}

const uint64_t *deliver_session_phases(const struct deliver_session *s)
{
    return s->phases;
}
