/* What the files of mime share. */
#ifndef SMARTHOP_DROP_MIME_PRIVATE_H
#define SMARTHOP_DROP_MIME_PRIVATE_H

#include "plugins/drop/mime/mime.h"

enum { MIME_CHARSETS_MAX = 100 };

/* What is left of what one message may cost. */
struct mime_budget {
    unsigned addresses;
    unsigned charsets; /* to be opened, which is not cheap; then all is taken for UTF-8 */
};

/* A field's value without its folding and the blanks around it, in the arena; never absent. */
struct span mime_unfold(struct span value, struct arena *arena);

/* Behind blanks, line ends and comments (RFC 5322 3.2.2). */
struct span mime_skip_blanks(struct span text);
/* The token (RFC 2045 5.1) at the start of *text_inout, which moves behind it; may be empty. */
struct span mime_take_token(struct span *text_inout);

/* Without the backslashes that quote (RFC 5322 3.2.4): `room` has as many bytes as `text`. */
struct span mime_unquote(struct span text, char *room);
/* Of text[0] == '(': behind the comment, which may hold others; *inner_out is what is in it. */
size_t mime_comment_len(struct span text, struct span *inner_out);
/* Of text[0] == '"': behind the quoted string. */
size_t mime_quoted_len(struct span text, struct span *inner_out);

/* "; name=value; ...", NULL where there are none. Copies into the arena. */
struct mime_parameter *mime_parameters(struct span text, struct mime_budget *budget,
                                       struct arena *arena);
/* ptr NULL where there is no such parameter. */
struct span mime_parameter_find(const struct mime_parameter *list, struct span name);

/* Appends what the list tells to *tail_inout. */
void mime_address_append(struct span value, struct mime_address ***tail_inout,
                         struct mime_budget *budget, struct arena *arena);

/* What a part's header tells of it. In a digest a part without a type is a message (RFC 2046
 * 5.1.5). */
void mime_part_read(struct mime_part *part, struct span header, bool in_digest,
                    struct mime_budget *budget, struct arena *arena);
/* It is not looked into: bytes of no known type. */
void mime_part_seal(struct mime_part *part);

#endif
