/* What the files of control/ share; nobody else includes it. */
#ifndef SMARTHOP_CONTROL_PRIVATE_H
#define SMARTHOP_CONTROL_PRIVATE_H

#include "control/answer.h"
#include "net/local.h"

struct control {
    struct loop *loop;
    struct control_actions actions;
    struct local_server *server;
};

/* control.c: the object, which is taken over, as a line. */
void control_answer(struct local_peer *peer, json_t *object);
/* A piece of a stream. */
void control_write(struct local_peer *peer, json_t *object);

/* groups.c: the names of groups in a command, for the caller to free; NULL where they are none, or
 * none at all, or more than CONTROL_GROUPS_MAX. */
struct queue_group_name *control_read_groups(const json_t *names, unsigned *count_out);
/* operate.c: false where there is no such operation. */
bool control_operate(struct control *control, struct local_peer *peer, const char *name,
                     const json_t *command);
/* explain.c, import.c, suspend.c */
void control_explain(struct control *control, struct local_peer *peer, const json_t *command);
void control_import(struct control *control, struct local_peer *peer, const json_t *command);
void control_suspend(struct control *control, struct local_peer *peer, const json_t *command);
void control_resume(struct control *control, struct local_peer *peer, const json_t *command);

/* plugins.c */
void control_list_plugins(struct control *control, struct local_peer *peer, const json_t *command);
void control_plugins_back(struct control *control, struct local_peer *peer, const json_t *command);
void control_command_plugin(struct control *control, struct local_peer *peer,
                            const json_t *command);
void control_route(struct control *control, struct local_peer *peer, const json_t *command);

/* listing.c, trace.c: what answers in a stream. */
void control_list_sessions(struct control *control, struct local_peer *peer, const json_t *command);
void control_list_destinations(struct control *control, struct local_peer *peer,
                               const json_t *command);
void control_trace_sessions(struct control *control, struct local_peer *peer,
                            const json_t *command);

#endif
