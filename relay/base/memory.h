/*
 * memory: allocation of our own small objects. Running out of memory for these is fatal by design;
 * sizes that a peer or a file chose are bounded by the caller first.
 */
#ifndef SMARTHOP_BASE_MEMORY_H
#define SMARTHOP_BASE_MEMORY_H

#include <stddef.h>

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Zeroed; never NULL. Release with free(). */
void *mem_zalloc(size_t size);
void *mem_alloc(size_t size);
void *mem_realloc(void *old, size_t size);
char *mem_strdup(const char *text);

/* Large blocks go back to the kernel when they are freed, from now on and whatever was freed first.
 * Once, before there are threads. */
void mem_give_back_large(void);

#endif
