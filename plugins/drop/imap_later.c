/* Stands for IMAP's sessions until they are there: says so, and closes. */
#include "plugins/drop/server/server.h"

static void on_event(struct conn *conn, enum conn_event event, void *owner)
{
    if (event == CONN_CLOSED)
        drop_session_end(owner);
    else if (event == CONN_FAILED)
        conn_close(conn);
}

static void shut(struct drop_session *session)
{
    conn_close(session->conn);
}

static void open_session(struct drop_session *session)
{
    session->shut = shut;
    conn_set_owner(session->conn, on_event, session);
    conn_write(session->conn, SPAN("* BYE IMAP is not built in\r\n"));
    conn_finish(session->conn);
}

const struct drop_protocol drop_imap = {
    .name = "imap",
    .session_size = sizeof(struct drop_session),
    .open = open_session,
};
