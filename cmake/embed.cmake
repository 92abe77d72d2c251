# A file as a C array: NAME_text and NAME_size. Called with -DIN, -DOUT, -DNAME.
file(READ ${IN} bytes HEX)
string(LENGTH "${bytes}" digits)
math(EXPR size "${digits} / 2")
string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${bytes}")
file(WRITE ${OUT} "#include <stddef.h>

extern const char ${NAME}_text[];
extern const size_t ${NAME}_size;

const char ${NAME}_text[] = {
${bytes}
};
const size_t ${NAME}_size = ${size};
")
