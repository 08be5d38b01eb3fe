#include "sandbox.h"

#include <string.h>

#ifdef __x86_64__
#include "syscall_names_x86_64.h"
#else
#include "syscall_names_generic.h"
#endif

const char *limpet_call_name(uint32_t number) { return number < sizeof names / sizeof *names ? names[number] : NULL; }

int32_t limpet_call_number(const char *name) {
    for (uint32_t number = 0; number < sizeof names / sizeof *names; number++)
        if (names[number] && strcmp(names[number], name) == 0) return (int32_t)number;
    return -1;
}
