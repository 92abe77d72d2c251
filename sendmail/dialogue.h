/*
 * dialogue: -bs: an SMTP client on standard input and output, and the server on its socket, speak
 * to each other through us.
 */
#ifndef SMARTHOP_SENDMAIL_DIALOGUE_H
#define SMARTHOP_SENDMAIL_DIALOGUE_H

/* EX_OK once the server has closed. One that cannot be reached is told to the client with 421 as
 * well. */
int dialogue_run(const char *socket_path);

#endif
