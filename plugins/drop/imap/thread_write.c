/*
 * thread_write: THREAD's answer. A thread goes on in a line as long as each message has one answer;
 * several ones open a parenthesis each.
 */
#include "plugins/drop/imap/search.h"

#include "base/memory.h"

#include <stdlib.h>

/* Whose siblings are still to come, outermost first. */
struct thread_stack {
    const struct imap_thread **levels;
    size_t depth;
    size_t cap;
};

static void stack_push(struct thread_stack *stack, const struct imap_thread *thread)
{
    if (stack->depth == stack->cap) {
        stack->cap = stack->cap > 0 ? stack->cap * 2 : 64;
        stack->levels = mem_realloc(stack->levels, stack->cap * sizeof(const struct imap_thread *));
    }
    stack->levels[stack->depth++] = thread;
}

/* From `at` down as long as there is one answer: the first of several, or NULL. */
static const struct imap_thread *thread_write_line(const struct imap_thread *at,
                                                   const struct imap_scope *scope, bool by_uid,
                                                   struct buf *out)
{
    bool is_first = true;

    for (; at != NULL; at = at->child) {
        if (at->index != UINT32_MAX) {
            if (!is_first)
                buf_add(out, SPAN(" "));
            buf_add_u64(out, by_uid ? scope->uids[at->index] : at->index + 1);
            is_first = false;
        }
        if (at->child != NULL && at->child->next != NULL) {
            if (!is_first)
                buf_add(out, SPAN(" "));
            return at->child;
        }
    }
    return NULL;
}

void imap_thread_write(const struct imap_thread *first, const struct imap_scope *scope, bool by_uid,
                       struct buf *out)
{
    struct thread_stack stack = {0};

    if (first == NULL)
        return;
    buf_add(out, SPAN(" "));
    for (const struct imap_thread *at = first; at != NULL;) {
        buf_add(out, SPAN("("));
        stack_push(&stack, at->next);
        at = thread_write_line(at, scope, by_uid, out);
        while (at == NULL && stack.depth > 0) {
            buf_add(out, SPAN(")"));
            at = stack.levels[--stack.depth];
        }
    }
    free(stack.levels);
}
