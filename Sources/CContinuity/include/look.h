/* The keeper looks at an executable that the daemon is to become, on the engine's request: in a process with descriptors
 * of its own, which the engine cannot reach, and bound by nothing but what binds the keeper and all that it executes.
 *
 * That process executes this program once more, with LIMPET_LOOK in its environment; what that finds out comes back by
 * memory that the keeper shares with the first of the two alone. What counts as allowed then, the keeper keeps to itself
 * (limpet_trust.next); the region gets a copy of the answer, for people. */
#ifndef LIMPET_LOOK_H
#define LIMPET_LOOK_H

#include "trust.h"

/* What LIMPET_HANDED_ON carries in place of a signal's number: from the engine, that there is a question; from the keeper,
 * that there is an answer. */
enum { LIMPET_LOOK_ASKED = 1001, LIMPET_LOOK_ANSWERED = 1002 };

/* What the program writes to the pipe, all of it at once. */
typedef struct {
    uint64_t magic; /* LIMPET_LOOK_MAGIC */
    uint32_t is_good;
    uint32_t reserved;
    limpet_identity own;  /* of the program that looks, with its content */
    limpet_identity next;
    char version[32];
    char reason[2048];
} limpet_look_result;
#define LIMPET_LOOK_MAGIC 0x4c696d7065744c6bull

/* What LIMPET_LOOK says to it. */
typedef struct {
    int32_t pipe;
    int32_t document;
    uint32_t document_length;
    uint32_t started_by; /* UINT32_MAX: as the document says */
    uint32_t needs_way_back;
    limpet_calls denied;
} limpet_look_task;

/* Whether this process is there to look; takes the variable out of the environment. The path is its first argument. */
int limpet_look_take(limpet_look_task *_Nonnull task);
void limpet_look_set_version(limpet_look_result *_Nonnull result, const char *_Nonnull text);
void limpet_look_set_reason(limpet_look_result *_Nonnull result, const char *_Nonnull text);

/* Begins to look, as the region asks; what it is at is given up for that. For the keeper, at any time. */
void limpet_look_begin(limpet_shared_header *_Nonnull region);
/* Ends what it is at: whoever has asked is no more. */
void limpet_look_abandon(void);
/* Whether it is at it; if it has come to its end since the last call, the answer is in the region now, and the engine has
 * been told. To be called before anybody else takes the ends of children out of the kernel. */
int limpet_look_goes_on(limpet_shared_header *_Nonnull region);

#endif
