/* A POP3 command's line: what it says lies in the line, and nothing else is made of it. */
#include "plugins/drop/pop3/command.h"
#include "tests/support/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span line = span_of((const char *)data, size);
    struct pop3_command command;

    pop3_parse(line, &command);
    MUST(command.verb < POP3_VERBS);
    MUST(command.verb != POP3_UNKNOWN || !command.is_wrong);
    MUST(fuzz_is_inside(command.text, line) && fuzz_is_inside(command.method, line));
    MUST(fuzz_is_inside(command.initial, line));
    MUST(command.is_wrong || !command.has_initial || command.initial.len > 0);
    MUST(command.has_number || command.number == 0);
    return 0;
}
