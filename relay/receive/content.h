/*
 * content: what plugins read and make of a whole message, between its end and its commit. What a
 * plugin writes goes to the store in pieces while it is written, under an id of its own, so that
 * none of it counts before the message is committed with that id; a crash leaves chunks without a
 * message, which recovery removes. Small ones stay in memory. Shared by the files of receive/ only.
 *
 * On the loop, but for what plugins call on threads that may wait.
 */
#ifndef SMARTHOP_RECEIVE_CONTENT_H
#define SMARTHOP_RECEIVE_CONTENT_H

#include "plugins/host/host.h"

struct content;
struct transaction;

/* Takes the body in memory over. Nothing of it is on its way to the store; its header was kept. */
struct content *content_create(struct transaction *tx);
struct plugin_content *content_lend(struct content *content);
/* No plugin is asked any more: the message gets the size, the flags, the header and the id that it
 * will have. Where its header has to be written anew in the store that is done in content_end. */
void content_take(struct content *content);
/* Once: nobody waits for plugins any more. transaction_content_ended follows, later, when nothing
 * of it is under way and all is removed that is not the message's. Then it is gone. */
void content_end(struct content *content);

#endif
