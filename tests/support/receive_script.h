/* receive_script: lines that the scripts of smtp_talk for our server have in common. */
#ifndef SMARTHOP_TESTS_RECEIVE_SCRIPT_H
#define SMARTHOP_TESTS_RECEIVE_SCRIPT_H

#define HELLO    "S:220 mx.test ", "C:EHLO client.test", "S:250 "
#define MAIL     "C:MAIL FROM:<a@sender.test>", "S:250 2.1.0"
#define RCPT     "C:RCPT TO:<b@rcpt.test>", "S:250 2.1.5"
#define DATA     "C:DATA", "S:354 "
#define ENVELOPE HELLO, MAIL, RCPT, DATA
#define BODY     "Subject: x\r\n\r\nhello\r\n"
#define END      "C:."
#define QUEUED   "S:250 2.0.0 OK queued as "
#define BYE      "C:QUIT", "S:221 2.0.0", "!eof"

#endif
